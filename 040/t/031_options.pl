ok 1 - embedding_dim and hidden are the sizes
ok 2 - the tower takes all embeddings
ok 3 - the rank is a sixteenth of the width, at least 1
ok 4 - lora_reduce
ok 5 - lora_rank, at most the width
ok 6 - experts_per_domain
ok 7 - its gate
ok 8 - experts of one domain differ
ok 9 - min_domain_rows 120: the experts of domains of 240, 240 and 120 rows
ok 10 - min_domain_rows 121: the experts of domains of 240, 240 and 120 rows
ok 11 - min_domain_rows 240: the experts of domains of 240, 240 and 120 rows
ok 12 - min_domain_rows 241: the experts of domains of 240, 240 and 120 rows
ok 13 - "method": "backbone": serve
ok 14 - "method": "backbone": gate
ok 15 - "method": "backbone": known domains, and an unknown one without experts
ok 16 - "method": "backbone": an unknown one as the mean
ok 17 - "method": "backbone": which is another one
ok 18 - "method": "backbone": an unknown one as an error
ok 19 - "method": "backbone": a known one is scored
ok 20 - "method": "mlora": serve
ok 21 - "method": "mlora": gate
ok 22 - "method": "mlora": known domains, and an unknown one without experts
ok 23 - "method": "mlora": an unknown one as the mean
ok 24 - "method": "mlora": which is another one
ok 25 - "method": "mlora": an unknown one as an error
ok 26 - "method": "mlora": a known one is scored
ok 27 - "method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6: serve
ok 28 - "method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6: gate
ok 29 - "method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6: known domains, and an unknown one without experts
ok 30 - "method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6: an unknown one as the mean
ok 31 - "method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6: which is another one
ok 32 - "method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6: an unknown one as an error
ok 33 - "method": "moe_mlora", "recipe": "gated", "gate_own_share": 0.6: a known one is scored
ok 34 - "method": "moe_mlora", "recipe": "gated", "gate": "input": serve
ok 35 - "method": "moe_mlora", "recipe": "gated", "gate": "input": gate
ok 36 - "method": "moe_mlora", "recipe": "gated", "gate": "input": known domains, and an unknown one without experts
ok 37 - "method": "moe_mlora", "recipe": "gated", "gate": "input": an unknown one as the mean
ok 38 - "method": "moe_mlora", "recipe": "gated", "gate": "input": which is another one
ok 39 - "method": "moe_mlora", "recipe": "gated", "gate": "input": an unknown one as an error
ok 40 - "method": "moe_mlora", "recipe": "gated", "gate": "input": a known one is scored
ok 41 - a domain without experts has the backbone
ok 42 - own share of recipe paper: 0.94999999796433 is about 0.95
ok 43 - own share of recipe gated: 0.500000000672072 is about 0.5
ok 44 - gate_own_share, recipe paper: 0.700000010235644 is about 0.7
ok 45 - gate_own_share, recipe gated: 0.700000010307234 is about 0.7
ok 46 - phases of "method": "backbone"
ok 47 - phases of "method": "mlora"
ok 48 - phases of "method": "moe_mlora", "recipe": "gated"
ok 49 - phases of "method": "moe_mlora", "recipe": "joint"
ok 50 - phases of "method": "moe_mlora", "recipe": "paper"
ok 51 - phases of "method": "moe_mlora", "recipe": "paper", "finetune": true
ok 52 - recipe auto makes all starts
ok 53 - epochs: one step each: 0.00399957085028291 is about 0.004
ok 54 - more epochs: 0.00899554323405027 is about 0.009
ok 55 - learning_rate: 0.0399509817361832 is about 0.04
ok 56 - batch_size: three steps, the last with what is left: 0.0119896437972784 is about 0.012
ok 57 - batch_size 1: a step a row: 0.0119621977210045 is about 0.012
ok 58 - neither experts nor gate move the base: 0.0049991849809885 is about 0.005
ok 59 - finetune does, at a fifth of the learning rate: 0.00599914509803057 is about 0.006
ok 60 - l2 holds down embedding.c
ok 61 - l2 holds down linear.c
ok 62 - l2 holds down embedding.x
ok 63 - l2 holds down linear.x
ok 64 - l2 holds down embedding.domain
ok 65 - l2 holds down linear.domain
ok 66 - but not tower.0.weight
ok 67 - but not tower.1.weight
ok 68 - but not head.weight
ok 69 - dropout changes what is learned
ok 70 - nothing is dropped when it is scored
ok 71 - the same seed
ok 72 - another seed
ok 73 - another seed
ok 74 - and another one
ok 75 - an impatient training ends soon
ok 76 - patience: so many epochs more
ok 77 - epochs is the limit
ok 78 - max_seconds is used
ok 79 - and ends the training
ok 80 - the note says so
ok 81 - the model scores
ok 82 - validation 0
ok 83 - validation by share: 181 is about 180
ok 84 - a large one: 538 is about 540
ok 85 - split_column: rows and domains go where it says
ok 86 - test rows are left out
ok 87 - time_column of type date: the newest fifth validates
ok 88 - of type date: so domain c does not train
ok 89 - time_column of type integer: the newest fifth validates
ok 90 - of type integer: so domain c does not train
ok 91 - time_column of type numeric: the newest fifth validates
ok 92 - of type numeric: so domain c does not train
ok 93 - time_column of type real: the newest fifth validates
ok 94 - of type real: so domain c does not train
ok 95 - time_column of type timestamp: the newest fifth validates
ok 96 - of type timestamp: so domain c does not train
ok 97 - time_column of type timestamptz: the newest fifth validates
ok 98 - of type timestamptz: so domain c does not train
ok 99 - a share that ends with a day
ok 100 - rows as old as the newest training row train
ok 101 - rows of one time all train
ok 102 - infinite times are the newest and the oldest
ok 103 - rows that count twice make another model
ok 104 - weight 2 is the row twice, type smallint
ok 105 - weight 2 is the row twice, type bigint
ok 106 - weight 2 is the row twice, type numeric
ok 107 - weight 2 is the row twice, type real
ok 108 - weight 2 is the row twice, type float8
ok 109 - weight 0 is no row
ok 110 - weights count by their shares
ok 111 - figures are not weighed
ok 112 - min_count 1
ok 113 - min_count 2
ok 114 - min_count 4
ok 115 - min_count 5
ok 116 - min_count 600
ok 117 - min_count counts training rows only
ok 118 - no process of server options has died
1..118
