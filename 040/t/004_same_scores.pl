ok 1 - {"method": "backbone"}: record, jsonb, text and ROW(...)
ok 2 - {"method": "mlora", "serve": "own"}: record, jsonb, text and ROW(...)
ok 3 - {"recipe": "paper", "serve": "gate"}: record, jsonb, text and ROW(...)
ok 4 - {"recipe": "paper", "gate": "input", "serve": "gate"}: record, jsonb, text and ROW(...)
ok 5 - workers score
ok 6 - a parallel plan gives the same bits as a serial one
ok 7 - workers aggregate
ok 8 - parallel aggregates give the figures of serial ones
ok 9 - no process of server same_scores has died
1..9
