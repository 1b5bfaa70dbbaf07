ok 1 - the other database has no model
ok 2 - and scores with none
ok 3 - models of one name are two models
ok 4 - a training runs in one database
ok 5 - the same name can be trained in the other
ok 6 - and be dropped there
ok 7 - while the first database scores as before
ok 8 - a copied database has the models
ok 9 - and trains them on
ok 10 - by itself
ok 11 - and goes by itself
ok 12 - no process of server two_databases has died
1..12
