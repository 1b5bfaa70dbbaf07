ok 1 - there is a model
ok 2 - an error at the first row: the error, model new
ok 3 - an error at the first row: the error, model old
ok 4 - an error at the first row: nothing is stored
ok 5 - an error at the first row: the session goes on with the old model
ok 6 - in the middle: the error, model new
ok 7 - in the middle: the error, model old
ok 8 - in the middle: nothing is stored
ok 9 - in the middle: the session goes on with the old model
ok 10 - at the last row: the error, model new
ok 11 - at the last row: the error, model old
ok 12 - at the last row: nothing is stored
ok 13 - at the last row: the session goes on with the old model
ok 14 - a label that cannot be: the error, model new
ok 15 - a label that cannot be: the error, model old
ok 16 - a label that cannot be: nothing is stored
ok 17 - a label that cannot be: the session goes on with the old model
ok 18 - a feature that is no number: the error, model new
ok 19 - a feature that is no number: the error, model old
ok 20 - a feature that is no number: nothing is stored
ok 21 - a feature that is no number: the session goes on with the old model
ok 22 - a missing column: the error, model new
ok 23 - a missing column: the error, model old
ok 24 - a missing column: nothing is stored
ok 25 - a missing column: the session goes on with the old model
ok 26 - a missing table: the error, model new
ok 27 - a missing table: the error, model old
ok 28 - a missing table: nothing is stored
ok 29 - a missing table: the session goes on with the old model
ok 30 - an unknown option: the error, model new
ok 31 - an unknown option: the error, model old
ok 32 - an unknown option: nothing is stored
ok 33 - an unknown option: the session goes on with the old model
ok 34 - a training that diverges: the error, model new
ok 35 - a training that diverges: the error, model old
ok 36 - a training that diverges: nothing is stored
ok 37 - a training that diverges: the session goes on with the old model
ok 38 - no rows: the error, model new
ok 39 - no rows: the error, model old
ok 40 - no rows: nothing is stored
ok 41 - no rows: the session goes on with the old model
ok 42 - memory limit while reading: needed, allowed, and the setting
ok 43 - memory limit while reading: both amounts
ok 44 - memory limit for the network: needed, allowed, and the setting
ok 45 - memory limit for the network: both amounts
ok 46 - memory limit for embeddings: needed, allowed, and the setting
ok 47 - memory limit for embeddings: both amounts
ok 48 - the memory limit leaves nothing
ok 49 - with more memory it works
ok 50 - ROLLBACK takes trainings back
ok 51 - and the session knows
ok 52 - so does a later error in the transaction
ok 53 - or in the statement itself
ok 54 - so does ROLLBACK TO a savepoint
ok 55 - around a savepoint, what was trained before it stays
ok 56 - and one model more is there
ok 57 - ROLLBACK takes a drop back
ok 58 - a drop takes everything with it
ok 59 - a read-only transaction trains nothing
ok 60 - but it may score
ok 61 - no process of server nothing_stored has died
1..61
