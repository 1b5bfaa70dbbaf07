ok 1 - a trap for = of text
ok 2 - a trap for = of name
ok 3 - a trap for = of bigint
ok 4 - a trap for = of integer
ok 5 - a trap for = of uuid
ok 6 - a trap for +
ok 7 - a trap for jsonb_build_object
ok 8 - a trap for gen_random_uuid() RETURNS uuid
ok 9 - a trap for clock_timestamp() RETURNS timestamptz
ok 10 - a trap for now() RETURNS timestamptz
ok 11 - a trap for tables
ok 12 - a trap for tables
ok 13 - a trap for tables
ok 14 - a trap for tables
ok 15 - a trap for tables
ok 16 - a trap for tables
ok 17 - a trap for tables
ok 18 - a trap for types
ok 19 - a trap for types
ok 20 - an unguarded query runs the hostile operator
ok 21 - train a new model steps into no trap
ok 22 - train a version steps into no trap
ok 23 - train another model steps into no trap
ok 24 - predict, record steps into no trap
ok 25 - predict, text steps into no trap
ok 26 - evaluate steps into no trap
ok 27 - the views steps into no trap
ok 28 - drop steps into no trap
ok 29 - role and search_path are as before
ok 30 - and what was stored is right
ok 31 - functions of the source run as the caller
ok 32 - an error while storing can be caught
ok 33 - and role and search_path are as before
ok 34 - the session trains on
ok 35 - no process of server hostile_path has died
1..35
