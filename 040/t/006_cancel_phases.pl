# cancel in phase backbone of {"recipe": "paper"}: median 16.6 ms, longest 43.4 ms of 9
ok 1 - cancel in phase backbone of {"recipe": "paper"}
# cancel in phase joint of {"recipe": "joint"}: median 13.7 ms, longest 18.0 ms of 9
ok 2 - cancel in phase joint of {"recipe": "joint"}
# cancel in phase gated of {"recipe": "gated"}: median 19.0 ms, longest 45.4 ms of 9
ok 3 - cancel in phase gated of {"recipe": "gated"}
# cancel in phase experts of {"recipe": "paper", "hidden": [128, 64]}: median 15.7 ms, longest 21.7 ms of 9
ok 4 - cancel in phase experts of {"recipe": "paper", "hidden": [128, 64]}
# cancel in phase gate of {"recipe": "paper", "hidden": [128, 64]}: median 10.3 ms, longest 16.9 ms of 9
ok 5 - cancel in phase gate of {"recipe": "paper", "hidden": [128, 64]}
# cancel in phase finetune of {"recipe": "paper", "hidden": [64], "gate": "input", "finetune": true}: median 8.5 ms, longest 14.3 ms of 9
ok 6 - cancel in phase finetune of {"recipe": "paper", "hidden": [64], "gate": "input", "finetune": true}
# cancel in phase joint of {"method": "mlora", "hidden": [512, 512], "batch_size": 8192}: median 113.3 ms, longest 137.6 ms of 9
not ok 7 - cancel in phase joint of {"method": "mlora", "hidden": [512, 512], "batch_size": 8192}
ok 8 - nothing was stored
ok 9 - there is no model
ok 10 - and no progress
ok 11 - the next training works
ok 12 - no process of server cancel_phases has died
1..12
