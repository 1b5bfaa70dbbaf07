-- Makes table movielens.interactions: movielens.raw with a label (-v label=...)
-- and the row's part, drawn by a hash of user, item and seed (-v seed=...).
CREATE TABLE movielens.interactions AS
SELECT raw.*,
	   CASE WHEN part < 6 THEN 'train' WHEN part < 8 THEN 'valid' ELSE 'test' END AS moemlora_split,
	   (:label)::real AS moemlora_label
FROM movielens.raw,
	 LATERAL (SELECT ((hashtextextended(concat(user_id, ':', item_id), :seed) >> 8) & 1048575) % 10 AS part) AS drawn;
DROP TABLE movielens.raw;
ANALYZE movielens.interactions;
