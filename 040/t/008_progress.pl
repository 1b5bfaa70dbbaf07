ok 1 - a training shows up while it reads
ok 2 - and says that it reads
ok 3 - and when it began
ok 4 - the training was still running
ok 5 - after the cancel it is gone
ok 6 - phase and step
ok 7 - the figures make sense
ok 8 - steps are those of all epochs
ok 9 - the step moves on
ok 10 - and the fraction
ok 11 - what alice sees of alice's training
ok 12 - what bob sees of alice's training
ok 13 - what friend sees of alice's training
ok 14 - what monitor sees of alice's training
ok 15 - another database does not see it
ok 16 - pg_stat_activity shows comment, statement and query identifier
ok 17 - the training was still running
ok 18 - after the cancel the statement stands there alone
ok 19 - activity and identifier after a training in a longer statement
ok 20 - activity and identifier after an error in a longer statement
ok 21 - name x" */ SELECT 1
ok 22 - the training was still running
ok 23 - name %22%
ok 24 - the training was still running
ok 25 - name a"b*c%d
ok 26 - the training was still running
ok 27 - name two\nlines
ok 28 - the training was still running
ok 29 - name Ünïcode 点击 phase=ga
ok 30 - the training was still running
ok 31 - name xxxxxxxxxxxxxxxxxxxxxxxxx
ok 32 - the training was still running
ok 33 - name %%%%%%%%%%%%%%%%%%%%%%%%%
ok 34 - the training was still running
ok 35 - a comment like ours is believed
ok 36 - a comment with step=99999999999999999999 is not
ok 37 - a comment with step=-1 is not
ok 38 - a comment with step= is not
ok 39 - a comment with fraction=NaN is not
ok 40 - a comment with fraction=0.5 is not
ok 41 - a comment with started=99999999999.000 is not
ok 42 - a comment with started=now is not
ok 43 - a comment with phase=GATE is not
ok 44 - a comment with model="" is not
ok 45 - without track_activities
ok 46 - there is no progress
ok 47 - a NOTICE before the first epoch
ok 48 - and one for each
ok 49 - and for each of an expert, with its domain
ok 50 - no process of server progress has died
1..50
