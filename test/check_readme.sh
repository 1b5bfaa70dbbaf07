#!/bin/bash
# Runs every SQL block of the README, in order, in one session of a new database:
# what a reader pastes must work.
# usage: test/with_server.sh test/check_readme.sh
set -eu
readme=$(cd "$(dirname "$0")/.." && pwd)/README.md

database=readme_$$
createdb "$database"
trap 'dropdb "$database"' EXIT

awk '/^```sql$/ { on = 1; n++; next } /^```$/ { on = 0 } on { print } END { if (n == 0) exit 1 }' "$readme" |
	PGOPTIONS='-c client_min_messages=warning' psql -X -v ON_ERROR_STOP=1 -d "$database" -f -
