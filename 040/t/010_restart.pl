ok 1 - there are scores
ok 2 - another session gives the same bits
ok 3 - so does the server after a restart
ok 4 - a session is terminated in the middle of a training
ok 5 - and gone
ok 6 - nothing of its training is stored
ok 7 - and the model can be trained at once
ok 8 - two trainings run
ok 9 - after an immediate shutdown nothing of them is stored
ok 10 - and the scores are the same
ok 11 - the next training works
ok 12 - as the next version
ok 13 - changed bytes are an error
ok 14 - no process of server restart has died
1..14
