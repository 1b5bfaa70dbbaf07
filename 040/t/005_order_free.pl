ok 1 - {}: twice
ok 2 - {}: in another order
ok 3 - {}: partitioned
ok 4 - {}: shuffled
ok 5 - {}: other columns, types of the same values
ok 6 - {}: another seed makes another model
ok 7 - {}: without a row it is another model
ok 8 - {"method": "mlora", "validation": 0}: twice
ok 9 - {"method": "mlora", "validation": 0}: in another order
ok 10 - {"method": "mlora", "validation": 0}: partitioned
ok 11 - {"method": "mlora", "validation": 0}: shuffled
ok 12 - {"method": "mlora", "validation": 0}: other columns, types of the same values
ok 13 - {"method": "mlora", "validation": 0}: another seed makes another model
ok 14 - {"method": "mlora", "validation": 0}: without a row it is another model
ok 15 - {"recipe": "gated", "gate": "input", "batch_size": 100}: twice
ok 16 - {"recipe": "gated", "gate": "input", "batch_size": 100}: in another order
ok 17 - {"recipe": "gated", "gate": "input", "batch_size": 100}: partitioned
ok 18 - {"recipe": "gated", "gate": "input", "batch_size": 100}: shuffled
ok 19 - {"recipe": "gated", "gate": "input", "batch_size": 100}: other columns, types of the same values
ok 20 - {"recipe": "gated", "gate": "input", "batch_size": 100}: another seed makes another model
ok 21 - {"recipe": "gated", "gate": "input", "batch_size": 100}: without a row it is another model
ok 22 - a parallel plan of the source
ok 23 - another number of workers asked for
ok 24 - no process of server order_free has died
1..24
