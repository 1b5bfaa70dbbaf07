-- PyTorch inside the server, as functions in PL/Python.  Variables: source, the text
-- of torch_wdl.py, which the server's user may not be able to read as a file.
CREATE EXTENSION IF NOT EXISTS plpython3u;
CREATE TABLE bench.source AS SELECT :'source'::text AS source;

-- PyTorch's version; an error where the server's Python has none.  To be called
-- first in a session: from then on GD holds the module, and one thread works.
CREATE FUNCTION bench.torch_open() RETURNS text LANGUAGE plpython3u AS $$
import torch
torch.set_num_threads(1)
if "torch_wdl" not in GD:
	module = {"__name__": "torch_wdl"}
	exec(plpy.execute("SELECT source FROM bench.source")[0]["source"], module)
	GD["torch_wdl"] = module
return torch.__version__
$$;

-- Scores of a batch, by our stored network.
CREATE FUNCTION bench.torch_scores(user_ids int[], item_ids int[], places int[]) RETURNS real[] LANGUAGE plpython3u AS $$
if "scorer" not in SD:
	stored = plpy.execute("SELECT name, rows, cols, data FROM bench.weight")
	SD["scorer"] = GD["torch_wdl"]["Scorer"]({row["name"]: (row["rows"], row["cols"], row["data"]) for row in stored})
scorer = SD["scorer"]
return scorer.score(scorer.rows(user_ids, item_ids, places)).tolist()
$$;

-- The same, a call for each row.
CREATE FUNCTION bench.torch_score(user_id int, item_id int, place int) RETURNS real LANGUAGE plpython3u AS $$
if "scorer" not in SD:
	stored = plpy.execute("SELECT name, rows, cols, data FROM bench.weight")
	SD["scorer"] = GD["torch_wdl"]["Scorer"]({row["name"]: (row["rows"], row["cols"], row["data"]) for row in stored})
scorer = SD["scorer"]
return scorer.score(scorer.rows([user_id], [item_id], [place])).item()
$$;

-- Trains on table bench.rows and stores the network.
CREATE TABLE bench.network (state bytea);
CREATE FUNCTION bench.torch_train(epochs int) RETURNS void LANGUAGE plpython3u AS $$
import io
import torch
module = GD["torch_wdl"]
columns = plpy.execute("""SELECT array_agg(user_id) AS user_ids, array_agg(item_id) AS item_ids,
	array_agg(place) AS places, array_agg(clicked::int) AS labels FROM bench.rows""")[0]
columns = [columns[name] for name in ("user_ids", "item_ids", "places", "labels")]
rows = module["Rows"](*columns, [max(column) + 1 for column in columns[:3]])
net = module["train"](rows, len(rows.labels), epochs, "dense")
file = io.BytesIO()
torch.save(net.state_dict(), file)
plpy.execute(plpy.prepare("INSERT INTO bench.network VALUES ($1)", ["bytea"]), [file.getvalue()])
$$;
