# cancel while the source is read: median 4.1 ms, longest 11.0 ms of 9
ok 1 - cancel while the source is read
# cancel while the rows are sorted and the vocabularies made: median 9.5 ms, longest 16.2 ms of 9
ok 2 - cancel while the rows are sorted and the vocabularies made
# cancel while the version is stored: median 18.8 ms, longest 31.0 ms of 9
ok 3 - cancel while the version is stored
ok 4 - nothing was stored
# cancel while the source waits: median 0.5 ms, longest 1.1 ms of 9
ok 5 - cancel while the source waits
# statement_timeout: median 63.5 ms, longest 109.6 ms of 15
ok 6 - statement_timeout
ok 7 - nothing was stored
ok 8 - the next training works
ok 9 - no process of server cancel_elsewhere has died
1..9
