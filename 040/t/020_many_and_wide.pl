ok 1 - ten thousand domains
# one epoch with ten thousand domains: 0.2 s
ok 2 - take no time
ok 3 - and have no experts
ok 4 - all of them are in the view
ok 5 - ten thousand experts
ok 6 - one for each domain
ok 7 - and each scores in its way
ok 8 - evaluate takes them all
ok 9 - a gate over ten thousand experts is too much
ok 10 - the error counts experts and gate
ok 11 - and suggests what to do
ok 12 - many values: the error and what to do
ok 13 - doing it helps
ok 14 - too many even to encode: the error names the feature
ok 15 - hash buckets need less
ok 16 - backbone: the memory that README says
ok 17 - backbone: not much less
ok 18 - moe_mlora: the memory that README says
ok 19 - moe_mlora: not much less
ok 20 - a table of a thousand features
ok 21 - can be trained on
ok 22 - with all of them
ok 23 - and scored with
ok 24 - all pairs of a thousand features are too many for a backbone that wants them
ok 25 - features of two tables
ok 26 - with all of them
ok 27 - jsonb scores a row that no table could hold
ok 28 - one more is too many for PostgreSQL
ok 29 - strange values as features
ok 30 - are told apart
ok 31 - as a row and as jsonb
ok 32 - strange names of domains
ok 33 - are told apart
ok 34 - and in the view as they are
ok 35 - a domain of two thousand bytes is refused
ok 36 - a database in LATIN1
ok 37 - without errors
ok 38 - a database in SQL_ASCII
ok 39 - without errors
ok 40 - no process of server many_and_wide has died
1..40
