ok 1 - CREATE EXTENSION in schema public by the owner of the database
ok 2 - train and predict, search_path = public
ok 3 - train and predict, search_path = pg_catalog
ok 4 - train and predict, search_path = ''
ok 5 - the views work
ok 6 - and evaluate
ok 7 - and an aggregate
ok 8 - every object has a comment
ok 9 - and every column
ok 10 - every table and sequence is dumped
ok 11 - DROP EXTENSION
ok 12 - leaves nothing
ok 13 - and the functions are gone, for the session that used them too
ok 14 - CREATE EXTENSION in schema public by the owner of the database
ok 15 - train and predict, search_path = public
ok 16 - train and predict, search_path = pg_catalog
ok 17 - train and predict, search_path = ''
ok 18 - the views work
ok 19 - and evaluate
ok 20 - and an aggregate
ok 21 - every object has a comment
ok 22 - and every column
ok 23 - every table and sequence is dumped
ok 24 - DROP EXTENSION
ok 25 - leaves nothing
ok 26 - and the functions are gone, for the session that used them too
ok 27 - CREATE EXTENSION in schema "Odd schema" by the owner of the database
ok 28 - train and predict, search_path = public
ok 29 - train and predict, search_path = pg_catalog
ok 30 - train and predict, search_path = ''
ok 31 - the views work
ok 32 - and evaluate
ok 33 - and an aggregate
ok 34 - every object has a comment
ok 35 - and every column
ok 36 - every table and sequence is dumped
ok 37 - DROP EXTENSION
ok 38 - leaves nothing
ok 39 - and the functions are gone, for the session that used them too
ok 40 - nor did the training
ok 41 - a tenant may not create it
ok 42 - another's schema of the same name
ok 43 - another's function of the same name
ok 44 - another's operator before pg_catalog is not used
ok 45 - the owner of the database cannot drop a table of it
ok 46 - nor can a superuser
ok 47 - it cannot be moved
ok 48 - no process of server extension has died
1..48
