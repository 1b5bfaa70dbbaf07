ok 1 - after trainings, errors and timeouts nothing of them is left
# after ten more rounds the session holds 24576 bytes more
ok 2 - the session does not grow
# decoded models hold 1005920 bytes
ok 3 - a model is kept
ok 4 - the cache keeps to its size
ok 5 - models that come and go score the same
ok 6 - even where none fits
ok 7 - then only the one in use stays
ok 8 - and where all fit
ok 9 - they stay
ok 10 - models score in blocks
ok 11 - and keep buffers
ok 12 - also where they come and go
# now they hold 1024336 bytes
ok 13 - the cache keeps to its size
ok 14 - no process of server memory has died
1..14
