ok 1 - no right to the table: train
ok 2 - no right to the view: train
ok 3 - no right to the function: train
ok 4 - no model came of it
ok 5 - all columns of the table need more than some
ok 6 - the columns granted suffice
ok 7 - no right to the view: evaluate
ok 8 - the columns granted suffice to evaluate
ok 9 - narrow lends its owner's right
ok 10 - rows_of_owner() lends its owner's right
ok 11 - alice trains under row level security
ok 12 - on the rows that alice may see
ok 13 - alice evaluates on those rows
ok 14 - bob trains under row level security
ok 15 - on the rows that bob may see
ok 16 - bob evaluates on those rows
ok 17 - a superuser trains
ok 18 - on all rows
ok 19 - row_security = off is an error, not less rows
ok 20 - a SECURITY DEFINER function may train
ok 21 - as its owner, on its rows
ok 22 - and the caller has no right to the model
ok 23 - no process of server source_rights has died
1..23
