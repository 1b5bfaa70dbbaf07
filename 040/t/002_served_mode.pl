ok 1 - own share 0.0, {"recipe": "paper"}: served is not below the backbone, over all rows and by places
ok 2 - own share 0.0, {"recipe": "paper"}: nor below the experts, if these are not below the backbone by places
ok 3 - own share 0.0, {"recipe": "paper"}: nor below what a start had reached
ok 4 - own share 0.0, {"recipe": "paper"}: figures of the version are those of its scores
ok 5 - own share 0.0, {"recipe": "paper"}: and so are those of its domains
ok 6 - own share 0.0, {"recipe": "auto"}: served is not below the backbone, over all rows and by places
ok 7 - own share 0.0, {"recipe": "auto"}: nor below the experts, if these are not below the backbone by places
ok 8 - own share 0.0, {"recipe": "auto"}: nor below what a start had reached
ok 9 - own share 0.0, {"recipe": "auto"}: figures of the version are those of its scores
ok 10 - own share 0.0, {"recipe": "auto"}: and so are those of its domains
ok 11 - own share 0.0, {"recipe": "joint", "learning_rate": 0.3}: served is not below the backbone, over all rows and by places
ok 12 - own share 0.0, {"recipe": "joint", "learning_rate": 0.3}: nor below the experts, if these are not below the backbone by places
ok 13 - own share 0.0, {"recipe": "joint", "learning_rate": 0.3}: nor below what a start had reached
ok 14 - own share 0.0, {"recipe": "joint", "learning_rate": 0.3}: figures of the version are those of its scores
ok 15 - own share 0.0, {"recipe": "joint", "learning_rate": 0.3}: and so are those of its domains
ok 16 - own share 0.0, {"method": "mlora"}: served is not below the backbone, over all rows and by places
ok 17 - own share 0.0, {"method": "mlora"}: nor below the experts, if these are not below the backbone by places
ok 18 - own share 0.0, {"method": "mlora"}: nor below what a start had reached
ok 19 - own share 0.0, {"method": "mlora"}: figures of the version are those of its scores
ok 20 - own share 0.0, {"method": "mlora"}: and so are those of its domains
ok 21 - own share 0.7, {"recipe": "paper"}: served is not below the backbone, over all rows and by places
ok 22 - own share 0.7, {"recipe": "paper"}: nor below the experts, if these are not below the backbone by places
ok 23 - own share 0.7, {"recipe": "paper"}: nor below what a start had reached
ok 24 - own share 0.7, {"recipe": "paper"}: figures of the version are those of its scores
ok 25 - own share 0.7, {"recipe": "paper"}: and so are those of its domains
ok 26 - own share 0.7, {"recipe": "joint"}: served is not below the backbone, over all rows and by places
ok 27 - own share 0.7, {"recipe": "joint"}: nor below the experts, if these are not below the backbone by places
ok 28 - own share 0.7, {"recipe": "joint"}: nor below what a start had reached
ok 29 - own share 0.7, {"recipe": "joint"}: figures of the version are those of its scores
ok 30 - own share 0.7, {"recipe": "joint"}: and so are those of its domains
ok 31 - own share 0.7, {"recipe": "gated"}: served is not below the backbone, over all rows and by places
ok 32 - own share 0.7, {"recipe": "gated"}: nor below the experts, if these are not below the backbone by places
ok 33 - own share 0.7, {"recipe": "gated"}: nor below what a start had reached
ok 34 - own share 0.7, {"recipe": "gated"}: figures of the version are those of its scores
ok 35 - own share 0.7, {"recipe": "gated"}: and so are those of its domains
ok 36 - own share 0.7, {"recipe": "auto"}: served is not below the backbone, over all rows and by places
ok 37 - own share 0.7, {"recipe": "auto"}: nor below the experts, if these are not below the backbone by places
ok 38 - own share 0.7, {"recipe": "auto"}: nor below what a start had reached
ok 39 - own share 0.7, {"recipe": "auto"}: figures of the version are those of its scores
ok 40 - own share 0.7, {"recipe": "auto"}: and so are those of its domains
ok 41 - own share 0.7, {"recipe": "paper", "gate": "input"}: served is not below the backbone, over all rows and by places
ok 42 - own share 0.7, {"recipe": "paper", "gate": "input"}: nor below the experts, if these are not below the backbone by places
ok 43 - own share 0.7, {"recipe": "paper", "gate": "input"}: nor below what a start had reached
ok 44 - own share 0.7, {"recipe": "paper", "gate": "input"}: figures of the version are those of its scores
ok 45 - own share 0.7, {"recipe": "paper", "gate": "input"}: and so are those of its domains
ok 46 - own share 0.7, {"recipe": "auto", "experts_per_domain": 2, "finetune": true}: served is not below the backbone, over all rows and by places
ok 47 - own share 0.7, {"recipe": "auto", "experts_per_domain": 2, "finetune": true}: nor below the experts, if these are not below the backbone by places
ok 48 - own share 0.7, {"recipe": "auto", "experts_per_domain": 2, "finetune": true}: nor below what a start had reached
ok 49 - own share 0.7, {"recipe": "auto", "experts_per_domain": 2, "finetune": true}: figures of the version are those of its scores
ok 50 - own share 0.7, {"recipe": "auto", "experts_per_domain": 2, "finetune": true}: and so are those of its domains
ok 51 - own share 0.7, {"method": "backbone"}: served is not below the backbone, over all rows and by places
ok 52 - own share 0.7, {"method": "backbone"}: nor below the experts, if these are not below the backbone by places
ok 53 - own share 0.7, {"method": "backbone"}: nor below what a start had reached
ok 54 - own share 0.7, {"method": "backbone"}: figures of the version are those of its scores
ok 55 - own share 0.7, {"method": "backbone"}: and so are those of its domains
ok 56 - serve backbone serves that mode
ok 57 - serve gate serves that mode
ok 58 - serve own serves that mode
ok 59 - no process of server served_mode has died
1..59
