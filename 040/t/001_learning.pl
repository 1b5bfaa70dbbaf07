# WAUC of backbone on fresh rows 0.7582, at most 0.7952
# WAUC of mlora on fresh rows 0.7752, at most 0.7952
# WAUC of moe_mlora on fresh rows 0.7752, at most 0.7952
ok 1 - the backbone learns
ok 2 - where places differ, mlora is better than the backbone
ok 3 - and so is moe_mlora
ok 4 - backbone knows no more than there is to know
ok 5 - mlora knows no more than there is to know
ok 6 - moe_mlora knows no more than there is to know
ok 7 - backbone finds nothing in noise
ok 8 - mlora finds nothing in noise
ok 9 - moe_mlora finds nothing in noise
ok 10 - mean prediction is mean label
# places alike: WAUC of backbone 0.7423, moe_mlora 0.7415
ok 11 - where places are alike, moe_mlora is no worse than the backbone
# a place of 150 rows: AUC with the others 0.8178, alone 0.6200
ok 12 - a small place learns from the others
ok 13 - no process of server learning has died
1..13
