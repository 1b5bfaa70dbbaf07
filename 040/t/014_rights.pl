ok 1 - owner may predict, record
ok 2 - owner may predict, jsonb
ok 3 - owner may predict, text
ok 4 - owner may score
ok 5 - owner may evaluate
ok 6 - owner may evaluate a version
ok 7 - owner may train
ok 8 - owner may drop
ok 9 - owner sees it in all of the views
ok 10 - member may predict, record
ok 11 - member may predict, jsonb
ok 12 - member may predict, text
ok 13 - member may score
ok 14 - member may evaluate
ok 15 - member may evaluate a version
ok 16 - member may train
ok 17 - member may drop
ok 18 - member sees it in all of the views
ok 19 - member_of_member may predict, record
ok 20 - member_of_member may predict, jsonb
ok 21 - member_of_member may predict, text
ok 22 - member_of_member may score
ok 23 - member_of_member may evaluate
ok 24 - member_of_member may evaluate a version
ok 25 - member_of_member may train
ok 26 - member_of_member may drop
ok 27 - member_of_member sees it in all of the views
ok 28 - boss may predict, record
ok 29 - boss may predict, jsonb
ok 30 - boss may predict, text
ok 31 - boss may score
ok 32 - boss may evaluate
ok 33 - boss may evaluate a version
ok 34 - boss may train
ok 35 - boss may drop
ok 36 - boss sees it in all of the views
ok 37 - grantee may predict, record
ok 38 - grantee may predict, jsonb
ok 39 - grantee may predict, text
ok 40 - grantee may score
ok 41 - grantee may evaluate
ok 42 - grantee may evaluate a version
ok 43 - grantee may not train
ok 44 - grantee may not drop
ok 45 - grantee sees it in all of the views
ok 46 - quiet may not predict, record
ok 47 - quiet may not predict, jsonb
ok 48 - quiet may not predict, text
ok 49 - quiet may not score
ok 50 - quiet may not evaluate
ok 51 - quiet may not evaluate a version
ok 52 - quiet may not train
ok 53 - quiet may not drop
ok 54 - quiet sees it in none of the views
ok 55 - stranger may not predict, record
ok 56 - stranger may not predict, jsonb
ok 57 - stranger may not predict, text
ok 58 - stranger may not score
ok 59 - stranger may not evaluate
ok 60 - stranger may not evaluate a version
ok 61 - stranger may not train
ok 62 - stranger may not drop
ok 63 - stranger sees it in none of the views
ok 64 - landlord may not predict, record
ok 65 - landlord may not predict, jsonb
ok 66 - landlord may not predict, text
ok 67 - landlord may not score
ok 68 - landlord may not evaluate
ok 69 - landlord may not evaluate a version
ok 70 - landlord may not train
ok 71 - landlord may not drop
ok 72 - landlord sees it in none of the views
ok 73 - models that owner sees
ok 74 - models that landlord sees
ok 75 - models that stranger sees
ok 76 - models that boss sees
ok 77 - owner and a model that does not exist
ok 78 - stranger and a model that does not exist
ok 79 - without inheriting: not as oneself
ok 80 - but after SET ROLE
ok 81 - and not after RESET ROLE
ok 82 - a SECURITY DEFINER function lends the right
ok 83 - a view does not
ok 84 - with the grant
ok 85 - without the membership
ok 86 - a loop waits
ok 87 - a grant that is gone is gone in the middle of a loop
ok 88 - owner cannot read table model
ok 89 - owner cannot read table grant
ok 90 - owner cannot read table version
ok 91 - owner cannot read table component
ok 92 - owner cannot read table feature
ok 93 - owner cannot read table domain
ok 94 - owner cannot read table phase
ok 95 - owner cannot read table epoch
ok 96 - owner cannot: UPDATE moemlora.model SET owner = current_user
ok 97 - owner cannot: DELETE FROM moemlora.version
ok 98 - owner cannot: INSERT INTO moemlora.grant SELECT 1, 'stranger'
ok 99 - owner cannot: SELECT nextval('moemlora.model_id_seq')
ok 100 - stranger cannot read table model
ok 101 - stranger cannot read table grant
ok 102 - stranger cannot read table version
ok 103 - stranger cannot read table component
ok 104 - stranger cannot read table feature
ok 105 - stranger cannot read table domain
ok 106 - stranger cannot read table phase
ok 107 - stranger cannot read table epoch
ok 108 - stranger cannot: UPDATE moemlora.model SET owner = current_user
ok 109 - stranger cannot: DELETE FROM moemlora.version
ok 110 - stranger cannot: INSERT INTO moemlora.grant SELECT 1, 'stranger'
ok 111 - stranger cannot: SELECT nextval('moemlora.model_id_seq')
ok 112 - the owner of the database can read them, for dumps
ok 113 - but not: UPDATE moemlora.model SET owner = 'landlord'
ok 114 - but not: DELETE FROM moemlora.model
ok 115 - but not: UPDATE moemlora.component SET crc = 1
ok 116 - and cannot forge an owner
ok 117 - the views leak nothing into a condition
ok 118 - without owner: boss may predict, record
ok 119 - without owner: boss may predict, jsonb
ok 120 - without owner: boss may predict, text
ok 121 - without owner: boss may score
ok 122 - without owner: boss may evaluate
ok 123 - without owner: boss may evaluate a version
ok 124 - without owner: boss may train
ok 125 - without owner: boss may drop
ok 126 - without owner: boss sees it in all of the views
ok 127 - without owner: landlord may predict, record
ok 128 - without owner: landlord may predict, jsonb
ok 129 - without owner: landlord may predict, text
ok 130 - without owner: landlord may score
ok 131 - without owner: landlord may evaluate
ok 132 - without owner: landlord may evaluate a version
ok 133 - without owner: landlord may train
ok 134 - without owner: landlord may drop
ok 135 - without owner: landlord sees it in all of the views
ok 136 - without owner: grantee may predict, record
ok 137 - without owner: grantee may predict, jsonb
ok 138 - without owner: grantee may predict, text
ok 139 - without owner: grantee may score
ok 140 - without owner: grantee may evaluate
ok 141 - without owner: grantee may evaluate a version
ok 142 - without owner: grantee may not train
ok 143 - without owner: grantee may not drop
ok 144 - without owner: grantee sees it in all of the views
ok 145 - without owner: member may not predict, record
ok 146 - without owner: member may not predict, jsonb
ok 147 - without owner: member may not predict, text
ok 148 - without owner: member may not score
ok 149 - without owner: member may not evaluate
ok 150 - without owner: member may not evaluate a version
ok 151 - without owner: member may not train
ok 152 - without owner: member may not drop
ok 153 - without owner: member sees it in none of the views
ok 154 - without owner: stranger may not predict, record
ok 155 - without owner: stranger may not predict, jsonb
ok 156 - without owner: stranger may not predict, text
ok 157 - without owner: stranger may not score
ok 158 - without owner: stranger may not evaluate
ok 159 - without owner: stranger may not evaluate a version
ok 160 - without owner: stranger may not train
ok 161 - without owner: stranger may not drop
ok 162 - without owner: stranger sees it in none of the views
ok 163 - no process of server rights has died
1..163
