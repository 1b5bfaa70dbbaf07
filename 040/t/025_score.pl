ok 1 - two million rows are scored
ok 2 - as they are one by one
# memory: 5015368 bytes near the start, 5071688 at most
ok 3 - the session does not grow with the partition
ok 4 - wide rows do not go to disk
ok 5 - (512 of them would)
ok 6 - nor do narrow ones with little work_mem
ok 7 - a cursor gives all rows
ok 8 - all scored by the versions that it began with
ok 9 - backwards and forwards again it gives the same
ok 10 - the next statement sees that they are gone
ok 11 - all cancels meet a block
# median 2.8 ms, longest 8.8 ms
ok 12 - most come through within 100 ms
ok 13 - and none takes long
ok 14 - and then the session scores as ever
ok 15 - no process of server score has died
1..15
