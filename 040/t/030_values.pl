ok 1 - c: known values have an id each
ok 2 - every category, with a number beside it
ok 3 - unknown categories have id 0
ok 4 - NULL has id 1
ok 5 - NULL is neither unknown nor known
ok 6 - an unknown value adds nothing where training met none
ok 7 - NULL is learned
ok 8 - NULL adds nothing where training met none
ok 9 - and scores as an unknown value then
ok 10 - an unknown domain adds nothing
ok 11 - known and unknown domains
ok 12 - x: mean over the rows with a value
ok 13 - x: standard deviation
ok 14 - z: mean over the rows with a value
ok 15 - z: standard deviation
ok 16 - numbers
ok 17 - NULL adds nothing
ok 18 - NULL is the mean
ok 19 - and no other number
ok 20 - a constant adds nothing, whatever comes later
ok 21 - x is not standardised
ok 22 - z is not standardised
ok 23 - numbers as they are
ok 24 - NULL is 0 then
ok 25 - t: known elements have an id each
ok 26 - lists are means
ok 27 - duplicates count
ok 28 - unknown elements count
ok 29 - no elements: nothing is added
ok 30 - NULL elements are skipped
ok 31 - the others are not
ok 32 - arrays and jsonb are the same
ok 33 - vectors
ok 34 - NULL is zeros
ok 35 - and nothing else
ok 36 - four of five buckets are met
ok 37 - a bucket that is not met is unknown
ok 38 - NULL is in no bucket
ok 39 - a boundary belongs to the bucket above
ok 40 - buckets differ
ok 41 - four buckets
ok 42 - every value, seen or not, is in one of them
ok 43 - NULL is in none
ok 44 - training: a list that is NULL is an empty one
ok 45 - training: or one of NULLs
ok 46 - training: NULL elements are skipped
ok 47 - training: duplicates count
ok 48 - training: rare elements are all unknown
ok 49 - training: and they count
ok 50 - training: rare categories are all unknown
ok 51 - and score as one that was never seen
ok 52 - training: unknown is not NULL
ok 53 - training: a value of validation rows alone is unknown
ok 54 - and scores so
ok 55 - training: a number that is NULL is 0 where it is not standardised
ok 56 - training: but no other number
ok 57 - training: standardised, it is the mean
ok 58 - training: standardising is what it says
ok 59 - training: a vector that is NULL is zeros
ok 60 - training: and nothing else
ok 61 - 1 row was left out because its label or domain is NULL
ok 62 - 6 rows were left out because label or domain is NULL
ok 63 - training: as if they were not there
ok 64 - a cast that one may not use
ok 65 - with the right to it
ok 66 - no process of server values has died
1..66
