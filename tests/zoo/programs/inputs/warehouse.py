import sys

import pyarrow.parquet

table = pyarrow.parquet.read_table(sys.argv[1])
rates = table.column("rate").to_pylist()
print([100 / rate for rate in rates])
