import sqlite3
import sys

with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True) as connection:
    rows = connection.execute("select name, share from parts order by rowid").fetchall()
for name, share in rows:
    print(name, 1 / share)
