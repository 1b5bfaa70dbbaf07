ok 1 - the next statement of another session uses the new version
ok 2 - force_custom_plan: each execution uses the version of its time
ok 3 - force_custom_plan: the last one as well
ok 4 - force_generic_plan: each execution uses the version of its time
ok 5 - force_generic_plan: the last one as well
ok 6 - a loop in PL/pgSQL sees each version that is committed between its statements
ok 7 - a loop sees the versions it trains, over commits and within a transaction
ok 8 - READ COMMITTED, after a training elsewhere
ok 9 - (which made another model)
ok 10 - READ COMMITTED, after a drop elsewhere
ok 11 - REPEATABLE READ, after a training elsewhere
ok 12 - (which made another model)
ok 13 - REPEATABLE READ, after a drop elsewhere
ok 14 - SERIALIZABLE, after a training elsewhere
ok 15 - (which made another model)
ok 16 - SERIALIZABLE, after a drop elsewhere
ok 17 - REPEATABLE READ cannot train over a newer version
ok 18 - a cursor is not disturbed
ok 19 - a statement waits in its middle
ok 20 - and finishes with the version it began with
ok 21 - no process of server snapshots has died
1..21
