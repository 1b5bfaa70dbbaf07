not ok 1 - all starts, experts, gate: 1 process
not ok 2 - all starts, experts, gate: 2 processes
ok 3 - all starts, experts, gate: the same model with 1 workers
ok 4 - all starts, experts, gate: the same epochs with 1 workers
not ok 5 - all starts, experts, gate: 4 processes
ok 6 - all starts, experts, gate: the same model with 3 workers
ok 7 - all starts, experts, gate: the same epochs with 3 workers
not ok 8 - gate over the input: 1 process
not ok 9 - gate over the input: 2 processes
ok 10 - gate over the input: the same model with 1 workers
ok 11 - gate over the input: the same epochs with 1 workers
not ok 12 - gate over the input: 4 processes
ok 13 - gate over the input: the same model with 3 workers
ok 14 - gate over the input: the same epochs with 3 workers
not ok 15 - mlora: 1 process
not ok 16 - mlora: 2 processes
ok 17 - mlora: the same model with 1 workers
ok 18 - mlora: the same epochs with 1 workers
not ok 19 - mlora: 4 processes
ok 20 - mlora: the same model with 3 workers
ok 21 - mlora: the same epochs with 3 workers
not ok 22 - backbone: 1 process
not ok 23 - backbone: 2 processes
ok 24 - backbone: the same model with 1 workers
ok 25 - backbone: the same epochs with 1 workers
not ok 26 - backbone: 4 processes
ok 27 - backbone: the same model with 3 workers
ok 28 - backbone: the same epochs with 3 workers
ok 29 - no segment is left
ok 30 - few rows: no worker by itself
ok 31 - many rows: as many as for building an index
ok 32 - or as that setting says
ok 33 - moemlora.max_workers limits them
ok 34 - without a word
ok 35 - the server has fewer
ok 36 - or none
ok 37 - too little shared memory: it trains alone
ok 38 - and what it had of it is given back
ok 39 - a worker that is ended ends the training
ok 40 - but not the session
ok 41 - no worker goes on
not ok 42 - inside an exception block it can be caught
ok 43 - and the session can train again
ok 44 - without the leader no worker goes on
ok 45 - no segment is left
ok 46 - and nothing is stored
# cancel of leader and workers: median 6.9 ms, longest 10.6 ms of 9
ok 47 - cancel of leader and workers
# cancel while all train experts: median 11.8 ms, longest 24.7 ms of 9
ok 48 - cancel while all train experts
ok 49 - no segment is left after cancels
ok 50 - kill -9 of the worker: no segment is left
ok 51 - nothing is stored
ok 52 - training works again
ok 53 - kill -9 of the leader: no segment is left
ok 54 - nothing is stored
ok 55 - training works again
1..55
