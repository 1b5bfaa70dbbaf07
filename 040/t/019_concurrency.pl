ok 1 - a new model: a training runs
ok 2 - a new model: a second one fails
ok 3 - a new model: before it reads
ok 4 - a new model: so does a drop
ok 5 - a new model: the first does not notice
ok 6 - a new model: another model can be trained
ok 7 - it had been running
ok 8 - a new model: after the first has stopped the second may
ok 9 - an old model: a training runs
ok 10 - an old model: a second one fails
ok 11 - an old model: before it reads
ok 12 - an old model: so does a drop
ok 13 - an old model: the first does not notice
ok 14 - an old model: another model can be trained
ok 15 - it had been running
ok 16 - an old model: after the first has stopped the second may
ok 17 - trained but not committed: a second training fails
ok 18 - and a drop
ok 19 - the transaction itself may train again
ok 20 - after the commit the second may
ok 21 - no number is given twice
ok 22 - and after a rollback
ok 23 - and after a rollback to a savepoint
ok 24 - a drop that is not committed keeps it too
ok 25 - a training runs
ok 26 - others score with the version before
ok 27 - the training ends
ok 28 - its transaction sees the new version
ok 29 - others do not
ok 30 - until it is committed
ok 31 - a stranger is refused
ok 32 - and keeps nothing
ok 33 - a training runs
ok 34 - a stranger does not even learn that
ok 35 - it had been running
ok 36 - a training runs
ok 37 - it had been running
ok 38 - advisory locks of the same numbers
ok 39 - are other locks
ok 40 - a name that another session is about to give
ok 41 - and has given
ok 42 - a training in the source of another
ok 43 - even of the same model
ok 44 - all are stored
ok 45 - a model that its source drops is a new one
ok 46 - session 0 of many trains
ok 47 - session 1 of many trains
ok 48 - session 2 of many trains
ok 49 - session 3 of many trains
ok 50 - session 4 of many scores
ok 51 - session 5 of many scores
ok 52 - all is stored
ok 53 - no process of server concurrency has died
1..53
