ok 1 - models and their owners
ok 2 - pg_dump of plain
ok 3 - restore of plain
ok 4 - plain: scores are the same bits
ok 5 - plain: all tables are the same
ok 6 - plain: the owner trains on
ok 7 - plain: and a new model
ok 8 - plain: with numbers that go on
ok 9 - pg_dump of custom
ok 10 - restore of custom
ok 11 - custom: scores are the same bits
ok 12 - custom: all tables are the same
ok 13 - custom: the owner trains on
ok 14 - custom: and a new model
ok 15 - custom: with numbers that go on
ok 16 - pg_dump of moved
ok 17 - restore of moved
ok 18 - moved: scores are the same bits
ok 19 - moved: no model has an owner that the restoring role may not act for
ok 20 - moved: alice has no right to it now
ok 21 - pg_dump
ok 22 - restore without one of the owners
ok 23 - the model of the missing role belongs to the restoring one
ok 24 - and scores the same bits
ok 25 - no process of server dump_restore has died
1..25
