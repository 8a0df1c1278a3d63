# tools/wiregen/testkit.py: the list of all messages and random fillers, for tests and fuzzing only.


def testkit_texts(messages, unity_count):
    files = {"wire_testkit.cc": "// wire_testkit.cc: placeholder\n"}
    for i in range(unity_count):
        files[f"wire_testkit_{i}.cc"] = f"// wire_testkit_{i}.cc: placeholder\n"
    return files
