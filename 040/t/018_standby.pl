ok 1 - the standby scores as the primary, bit by bit
ok 2 - in blocks too
ok 3 - and evaluates
ok 4 - the views work
ok 5 - so does that of the progress
ok 6 - it does not train
ok 7 - nor drop
ok 8 - a loop on the standby sees each version once it has arrived
ok 9 - REPEATABLE READ keeps the old version
ok 10 - which was not the newest
ok 11 - that comes after the transaction
ok 12 - a promoted standby trains
ok 13 - the next version
ok 14 - no process of server primary has died
ok 15 - no process of server standby has died
1..15
