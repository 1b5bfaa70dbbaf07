ok 1 - the first night has nothing to start from
ok 2 - and says so
ok 3 - the second night says where it starts
ok 4 - and nothing else
# WAUC on fresh rows: first night 0.7158, second night 0.7213, its rows alone 0.6510
# place 1: 0.7522, then 0.7562; place 7: 0.7297
ok 5 - the second night forgets nothing
ok 6 - and is far above its rows alone
ok 7 - a place that has gone is known
ok 8 - a new place is learned
ok 9 - domains and experts of both nights
ok 10 - training begins with what the version before knew
ok 11 - and never ends below that on its validation rows
ok 12 - the same twice
ok 13 - rows in another order
ok 14 - other columns, types of the same values
ok 15 - a parallel plan of the source
ok 16 - after another first night it is another model
ok 17 - and without a row
ok 18 - not while another session trains it
ok 19 - a transaction starts from what it has stored itself
ok 20 - after the commit others do
ok 21 - what is rolled back is nothing to start from
ok 22 - a snapshot that is too old
ok 23 - no memory is kept
ok 24 - cancelled
ok 25 - refused
ok 26 - before any row is read
ok 27 - no memory is kept
ok 28 - nothing is stored
ok 29 - a member of the owner may
ok 30 - a grantee may not
ok 31 - a stranger may not
ok 32 - a version that is damaged
ok 33 - a version without its bytes
ok 34 - from scratch it can be trained
ok 35 - and then go on
ok 36 - no process of server warm_start has died
1..36
