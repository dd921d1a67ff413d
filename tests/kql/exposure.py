"""Answers a query with duckdb-kql, an engine that shares no code with the product.

Standard input: {"query": "...", "tables": {"resources": [...], ...}}.
Standard output: the rows as JSON.
"""

import json
import sys

import duckdb
import duckdb_kql

asked = json.load(sys.stdin)
connection = duckdb.connect()
for name, rows in asked["tables"].items():
    columns = ", ".join(f'"{column}" {"JSON" if column == "properties" else "VARCHAR"}' for column in rows[0])
    connection.execute(f'CREATE TABLE "{name}" ({columns})')
    marks = ", ".join("?" for _ in rows[0])
    values = [[json.dumps(cell) if isinstance(cell, dict) else cell for cell in row.values()] for row in rows]
    connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
# The engine reads a bare `kind` as its own keyword.
query = asked["query"].replace(" kind in~", " ['kind'] in~")
cursor = duckdb_kql.kql(connection, query)
names = cursor.columns
print(json.dumps([dict(zip(names, row)) for row in cursor.fetchall()]))
