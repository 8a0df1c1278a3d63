#!/usr/bin/env python3
# tests/interop/0003_franz_go.py: franz-go's clients, and kgo's own tests.
"""franz-go: a Go program using kgo and kadm, and kgo's own test functions."""
import os
import re

from harness import CACHE, HERE, check, check_equal, check_in, command, main

# Of kgo's own tests, those that talk to a broker (KGO_SEEDS) of the kinds that are served. GroupETL
# and TxnEtl chain consumers by every balancer, both protocols, dynamic and static.
KGO_TESTS = ("Ping", "Issue325", "ConsumeTopicRetrieval", "ConsumeTopicRetrieval_Many",
             "Issue337", "DirectPartitionPurge", "Issue434", "AddRemovePartitions",
             "PauseIssue489", "PauseIssueOct2023", "Issue648", "Issue810", "Issue865",
             "IssueFetchLargerThanBrokerMaxReadBytes", "Pooling", "HookPollStart", "LookbackMilli",
             "ConsumeMaxDecompressBatchBytes", "Issue769", "Issue831",
             "Client_Produce", "Client_ProduceLargeMessages", "GroupSimple", "GroupETL", "TxnEtl",
             "BalanceGroupSetsBalanceInfo", "848RegexBrokerResolves")


def module_file():
    """Debian 12's Go 1.19 cannot build the current franz-go: the last that it can, then."""
    version = re.search(r"go1\.(\d+)", command(["go", "version"]))
    return "go.mod" if version and int(version.group(1)) >= 26 else "debian12.mod"


def go(*arguments, **environment):
    return command(["go", *arguments], timeout=230, cwd=HERE / "franz_go",
                   env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly",
                        "GOWORK": "off", **environment})


def test_admin_produce_consume(world):
    program = CACHE / "franz_go/client"
    go("build", f"-modfile={module_file()}", "-o", program, ".")
    out = command([program, world.broker().server], timeout=120)
    check_in("consumed 15000 records", out)
    check_in("admin: cluster, delete topics", out)


def test_kgo_own_tests(world):
    program = CACHE / "franz_go/kgo.test"
    go("test", f"-modfile={module_file()}", "-c", "-o", program, "github.com/twmb/franz-go/pkg/kgo")
    broker = world.broker(transaction_state_log_num_partitions=1)
    out = command([program, "-test.v", f"-test.run=^Test({'|'.join(KGO_TESTS)})$", "-test.timeout=200s"],
                  timeout=220, env={**os.environ, "KGO_SEEDS": broker.server, "KGO_TEST_RF": "1",
                                    "KGO_TEST_RECORDS": "20000"})
    passed = re.findall(r"^--- PASS: Test(\w+)", out, re.M)
    print(f"kgo's own tests: {len(passed)} passed, skipped: "
          f"{' '.join(re.findall(r'^--- SKIP: Test(.+?) ', out, re.M)) or 'none'}")
    # The franz-go of Debian's Go lacks some; a run of none of the two kinds proves nothing.
    skipped = set(re.findall(r"^--- SKIP: Test(\w+)", out, re.M))
    listed = set(re.findall(r"^Test(\w+)$", command([program, "-test.list", ".*"]), re.M))
    check_equal(set(passed), (set(KGO_TESTS) & listed) - skipped, "kgo's tests that passed")
    check({"GroupETL", "TxnEtl"} <= set(passed), "kgo's group and transaction tests did not run")


if __name__ == "__main__":
    main()
