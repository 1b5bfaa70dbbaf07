-- Makes table movielens.raw from the lines of users.dat (user::gender::age::occupation::zip),
-- movies.dat (item::title::genres; a title may hold colons) and ratings.dat
-- (user::item::rating, and a timestamp that may be missing).
CREATE TABLE movielens.raw AS
SELECT u.user_id, m.item_id, r.rating, u.gender, u.age, u.occupation, m.title, m.genres
FROM (SELECT split_part(line, '::', 1) AS user_id, split_part(line, '::', 2) AS item_id, split_part(line, '::', 3) AS rating
	  FROM movielens.ratings_line WHERE line <> '') AS r
JOIN (SELECT split_part(line, '::', 1) AS user_id, split_part(line, '::', 2) AS gender,
			 split_part(line, '::', 3) AS age, split_part(line, '::', 4) AS occupation
	  FROM movielens.users_line WHERE line <> '') AS u USING (user_id)
JOIN (SELECT p[1] AS item_id, p[2] AS title, p[3] AS genres
	  FROM movielens.movies_line, regexp_match(line, '^([^:]+)::(.*)::([^:]*)$') AS p) AS m USING (item_id);

-- Ratings by users or of films that are not in the files are worth a word.
SELECT format('%s ratings are of unknown users or films and left out.', lines - kept)
FROM (SELECT count(*) AS lines FROM movielens.ratings_line WHERE line <> '') AS l, (SELECT count(*) AS kept FROM movielens.raw) AS k
WHERE lines > kept
\g (format=unaligned tuples_only=on)
DROP TABLE movielens.ratings_line, movielens.users_line, movielens.movies_line;
