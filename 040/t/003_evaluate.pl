ok 1 - distinct scores: moemlora_auc() is the AUC by ranks
ok 2 - distinct scores: auc of moemlora_evaluate(), per domain and over all
ok 3 - distinct scores: rows, positives, logloss and calibration
ok 4 - distinct scores: the means are those over the domains
ok 5 - many ties: moemlora_auc() is the AUC by ranks
ok 6 - many ties: auc of moemlora_evaluate(), per domain and over all
ok 7 - many ties: rows, positives, logloss and calibration
ok 8 - many ties: the means are those over the domains
ok 9 - backbone_auc and expert_auc are those of the same model served so
ok 10 - no process of server evaluate has died
1..10
