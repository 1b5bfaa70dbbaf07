--
-- generate.sql - a shop's clicks, drawn from a known model.
--
-- Run by run.sh; alone:  psql -f generate.sql  (optional: -v seed=1)
--
-- Makes schema demo (dropping an older one): users, items, places and 300,000
-- clicks in six places where the shop shows its items, the domains.  All places
-- share users, items, tastes and the quality of an item.  But the same features
-- act differently in each: other categories, brands and tags please, a higher
-- price attracts here and repels there, and a user's tastes count with other
-- weights.  Place kiosk has 200 rows.  In place bots the clicks are coin tosses.
-- Column p of demo.clicks is the probability that the click was drawn with:
-- nothing ranks better than p, except by luck.
--
-- All random numbers are hashes of (what for, row number, seed), so the same
-- seed gives the same rows, whatever the plan.
--
\set ON_ERROR_STOP on
\if :{?seed}
\else
	\set seed 42
\endif

SET client_min_messages = warning;
DROP SCHEMA IF EXISTS demo CASCADE;
RESET client_min_messages;
CREATE SCHEMA demo;

-- Random numbers: uniform in (0,1), and standard normal (Box-Muller).
CREATE FUNCTION demo.uniform(purpose text, n bigint) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (((hashtextextended(purpose || n, :seed) >> 12) & 4503599627370495) + 0.5) / 4503599627370496;

CREATE FUNCTION demo.normal(purpose text, n bigint) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sqrt(-2 * ln(demo.uniform(purpose || ' radius ', n))) * cos(2 * pi() * demo.uniform(purpose || ' angle ', n));

-- Places: base is the logit of a click when nothing else is known, w1 to w4 how
-- much each of four tastes counts (in a world without domains: 1 everywhere).
CREATE TABLE demo.places AS
SELECT place_id, place, rows, base, is_noise,
	   sum(rows) OVER (ORDER BY place_id) - rows AS first_row,
	   0.6 * demo.normal('price in ', place_id) AS price_slope,
	   1 + demo.normal('taste 1 in ', place_id) AS w1,
	   1 + demo.normal('taste 2 in ', place_id) AS w2,
	   1 + demo.normal('taste 3 in ', place_id) AS w3,
	   1 + demo.normal('taste 4 in ', place_id) AS w4
FROM (VALUES (1, 'home', 110000, -1.2, false),
			 (2, 'search', 80000, -0.6, false),
			 (3, 'mail', 45000, -1.6, false),
			 (4, 'app', 35000, -0.9, false),
			 (5, 'kiosk', 200, -0.3, false),
			 (6, 'bots', 29800, -0.8, true)) AS place(place_id, place, rows, base, is_noise);

-- Users: age, how click-happy they are, four tastes.
CREATE TABLE demo.users AS
SELECT user_id,
	   18 + floor(60 * demo.uniform('age of ', user_id) * demo.uniform('age again of ', user_id))::int AS age,
	   0.6 * demo.normal('activity of ', user_id) AS activity,
	   demo.normal('user taste 1 of ', user_id) AS t1,
	   demo.normal('user taste 2 of ', user_id) AS t2,
	   demo.normal('user taste 3 of ', user_id) AS t3,
	   demo.normal('user taste 4 of ', user_id) AS t4
FROM generate_series(1, 2000) AS user_id;
ALTER TABLE demo.users ADD PRIMARY KEY (user_id);

-- Items: category, brand (five in each category), price, one to three tags,
-- quality, and what they offer to the four tastes.
CREATE TABLE demo.items AS
SELECT item_id, category,
	   'brand ' || 5 * c + 1 + floor(5 * demo.uniform('brand of ', item_id))::int AS brand,
	   round(exp(3 + 0.8 * demo.normal('price of ', item_id))::numeric, 2)::real AS price,
	   ARRAY(SELECT DISTINCT ('{bestseller,gift,handmade,imported,limited,local,new,organic,outlet,premium,'
							  'recycled,refurbished,rental,sale,seasonal,set}'::text[])
							 [1 + floor(16 * demo.uniform('tag ' || k || ' of ', item_id))::int]
			 FROM generate_series(1, 1 + floor(3 * demo.uniform('tags of ', item_id))::int) AS k
			 ORDER BY 1) AS tags,
	   0.5 * demo.normal('quality of ', item_id) AS quality,
	   demo.normal('item taste 1 of ', item_id) AS t1,
	   demo.normal('item taste 2 of ', item_id) AS t2,
	   demo.normal('item taste 3 of ', item_id) AS t3,
	   demo.normal('item taste 4 of ', item_id) AS t4
FROM generate_series(1, 1500) AS item_id,
	 LATERAL (SELECT floor(12 * demo.uniform('category of ', item_id))::int AS c) AS drawn,
	 LATERAL (SELECT ('{books,games,garden,kitchen,music,office,pets,shoes,sports,tools,toys,travel}'::text[])[1 + c] AS category) AS named;
ALTER TABLE demo.items ADD PRIMARY KEY (item_id);

-- What each item is worth in each place before its user is known: a part that
-- all places share and a part of the place's own.  age_slope: per twenty years.
CREATE TABLE demo.appeal AS
SELECT place_id, item_id,
	   base + quality
	   + 0.3 * demo.normal(category || ' everywhere', 0) + 0.5 * demo.normal(category || ' in ', place_id)
	   + 0.2 * demo.normal(brand || ' everywhere', 0) + 0.4 * demo.normal(brand || ' in ', place_id)
	   + (SELECT avg(0.3 * demo.normal(tag || ' everywhere', 0) + 0.6 * demo.normal(tag || ' in ', place_id))
		  FROM unnest(tags) AS tag)
	   + price_slope * (ln(price) - 3) / 0.8 AS appeal,
	   0.2 * demo.normal(category || ' by age everywhere', 0) + 0.4 * demo.normal(category || ' by age in ', place_id) AS age_slope
FROM demo.places, demo.items;
ALTER TABLE demo.appeal ADD PRIMARY KEY (place_id, item_id);
ANALYZE demo.places, demo.users, demo.items, demo.appeal;

-- The true model: the probability of a click for every place, user and item.
CREATE VIEW demo.truth AS
SELECT place_id, user_id, item_id,
	   1 / (1 + exp(-CASE WHEN is_noise THEN base
					ELSE activity + appeal + age_slope * (age - 33) / 20
						 + 0.25 * (w1 * u.t1 * i.t1 + w2 * u.t2 * i.t2 + w3 * u.t3 * i.t3 + w4 * u.t4 * i.t4) END)) AS p
FROM demo.places JOIN demo.appeal USING (place_id) JOIN demo.items AS i USING (item_id), demo.users AS u;

-- Clicks: some users and items are seen more often than others; 60 % of the rows
-- train, 20 % validate, 20 % test.
CREATE TABLE demo.clicks AS
SELECT row_id, place, user_id, age, item_id, category, brand, price, tags,
	   demo.uniform('click ', row_id) < p AS clicked,
	   p,
	   CASE WHEN part < 0.6 THEN 'train' WHEN part < 0.8 THEN 'valid' ELSE 'test' END AS split
FROM (SELECT row_id, place_id, place,
			 1 + floor(2000 * demo.uniform('user ', row_id) ^ 1.5)::int AS user_id,
			 1 + floor(1500 * demo.uniform('item ', row_id) ^ 1.5)::int AS item_id,
			 demo.uniform('part ', row_id) AS part
	  FROM demo.places, generate_series(first_row + 1, first_row + rows) AS row_id) AS shown
JOIN demo.truth USING (place_id, user_id, item_id)
JOIN demo.users USING (user_id)
JOIN demo.items USING (item_id);
ALTER TABLE demo.clicks ADD PRIMARY KEY (row_id);
ANALYZE demo.clicks;
