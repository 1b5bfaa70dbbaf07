-- Makes taobao.users or taobao.items: the embeddings that taobao.clicks needs, from
-- the lines of their file.  Variables: whose (user or item), file (for messages).
\set table :whose s
\set lines :whose _line
\set id :whose _id
\set vector :whose _vector

CREATE OR REPLACE FUNCTION taobao.vector(file text, id text, numbers text) RETURNS real[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	vector real[];
BEGIN
	vector := array_remove(string_to_array(numbers, ' '), '');
	IF coalesce(cardinality(vector), 0) <> 128 THEN
		RAISE EXCEPTION '%: the embedding of % has % numbers, not 128', file, id, coalesce(cardinality(vector), 0)
			USING ERRCODE = 'data_exception';
	END IF;
	RETURN vector;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
	RAISE EXCEPTION '%: the embedding of %: %', file, id, SQLERRM;
END $$;

-- Where an id has several lines, the last one counts.
CREATE TABLE taobao.:"table" AS
SELECT trim(id) AS :"id", taobao.vector(:'file', trim(id), numbers) AS :"vector"
FROM taobao.:"lines"
WHERE nr IN (SELECT max(nr) FROM taobao.:"lines" WHERE trim(id) IN (SELECT :"id" FROM taobao.clicks) GROUP BY trim(id));
ANALYZE taobao.:"table";
DROP TABLE taobao.:"lines";
