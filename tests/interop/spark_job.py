# tests/interop/spark_job.py: a Structured Streaming job, from topic `in` to topic `out`, until killed.
"""Usage: spark_job.py BOOTSTRAP CHECKPOINT_DIR. Started by 0018_spark.py with pyspark on its path."""
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, concat, lit

session = SparkSession.builder.getOrCreate()
session.sparkContext.setLogLevel("WARN")
(session.readStream.format("kafka")
 .option("kafka.bootstrap.servers", sys.argv[1])
 .option("subscribe", "in")
 .option("startingOffsets", "earliest")
 .option("failOnDataLoss", "true")
 .load()
 .select(col("key"), concat(lit("seen "), col("value").cast("string")).alias("value"))
 .writeStream.format("kafka")
 .option("kafka.bootstrap.servers", sys.argv[1])
 .option("topic", "out")
 .option("checkpointLocation", sys.argv[2])
 .start()
 .awaitTermination())
