/*
 * rows_merge.c - rows to train on as bytes, and from bytes to the rows of
 * another set: what the processes of a parallel plan hand to each other.
 *
 * The bytes are those of this machine and this build, and trusted.  In order:
 *
 *   counts        struct head
 *   each feature  struct field_head, name, boundaries, hashes of its vocabulary
 *   each domain   length u32, name
 *   each row      its record, its vector record, its time where rows have times
 *   items         u32 [n_items]
 *
 * Ids and places in them are the writer's; the reader gives the values its own.
 * A row's hash does not depend on ids, so the model does not depend on who read
 * which rows.
 */
#include <string.h>

#include "mml_layers.h"

#define ROWS_PER_POLL 4096

typedef struct head
{
	uint64_t	n_rows;
	uint64_t	n_items;
	uint32_t	n_fields;		/* without domain */
	uint32_t	n_domains;
	uint32_t	row_words;
	uint32_t	vector_words;
	uint32_t	has_times;
} head;

typedef struct field_head
{
	mml_field_spec spec;		/* without its pointers */
	uint32_t	name_length;
	uint32_t	width;
	uint32_t	slot;
	uint32_t	vector_start;
	uint32_t	n_values;
} field_head;

/* ------------------------------------------------------------------- write */

static mml_status
put(const mml_writer *writer, const void *bytes, size_t n)
{
	return n == 0 ? MML_OK : writer->write(writer->self, bytes, n);
}

static mml_status
write_field(const mml_field *field, const mml_writer *writer)
{
	field_head	of = {
		.spec = {
			.kind = (mml_kind) field->kind,.hash_buckets = field->hash_buckets,.log1p = field->log1p != 0,
			.standardize = field->standardize != 0,.project = field->project != 0,.width = field->width,
			.n_boundaries = (int) field->n_boundaries
		},
		.name_length = (uint32_t) strlen(field->name),.width = field->width,.slot = field->slot,
		.vector_start = field->vector_start,.n_values = field->vocabulary.n
	};

	MML_TRY(put(writer, &of, sizeof(of)));
	MML_TRY(put(writer, field->name, of.name_length));
	MML_TRY(put(writer, field->boundaries, field->n_boundaries * sizeof(double)));
	return put(writer, field->vocabulary.hashes, of.n_values * sizeof(uint64_t));
}

static mml_status
write_rows(const mml_rows *rows, const mml_writer *writer)
{
	for (size_t i = 0; i < rows->n_rows; i++)
	{
		MML_TRY(put(writer, mml_rows_record(rows, i), rows->row_words * sizeof(uint32_t)));
		if (rows->vector_words > 0)
			MML_TRY(put(writer, mml_rows_vectors(rows, i), rows->vector_words * sizeof(float)));
		if (rows->has_times)
			MML_TRY(put(writer, &rows->times[i], sizeof(double)));
		if (i % ROWS_PER_POLL == ROWS_PER_POLL - 1)
			MML_TRY(mml_poll(rows->host));
	}
	return MML_OK;
}

mml_status
mml_rows_write(const mml_rows *rows, const mml_writer *writer)
{
	size_t		page = (size_t) 1 << MML_ITEM_SHIFT;
	head		of = {
		.n_rows = rows->n_rows,.n_items = rows->item_end,.n_fields = (uint32_t) rows->n_fields - 1,
		.n_domains = rows->names->n,.row_words = rows->row_words,.vector_words = rows->vector_words,
		.has_times = rows->has_times
	};

	MML_TRY(put(writer, &of, sizeof(of)));
	for (uint32_t f = 0; f < of.n_fields; f++)
		MML_TRY(write_field(&rows->fields[f], writer));
	for (uint32_t d = 0; d < of.n_domains; d++)
	{
		uint32_t	length = (uint32_t) strlen(rows->names->entries[d].name);

		MML_TRY(put(writer, &length, sizeof(length)));
		MML_TRY(put(writer, rows->names->entries[d].name, length));
	}
	MML_TRY(write_rows(rows, writer));
	for (size_t at = 0; at < rows->item_end; at += page)
		MML_TRY(put(writer, mml_arena_at(&rows->arena, rows->item_pages[at >> MML_ITEM_SHIFT]),
					MML_MIN(rows->item_end - at, page) * sizeof(uint32_t)));
	return MML_OK;
}

/* -------------------------------------------------------------------- read */

/* A feature of the bytes. */
typedef struct field_read
{
	field_head	of;
	char	   *name;
	double	   *boundaries;
	uint64_t   *hashes;			/* [n_values] */
	uint32_t   *ids;			/* of the reader's, by the writer's: [n_values + MML_ID_FIRST] */
} field_read;

/* What is read, until it is in the set. */
typedef struct merge
{
	mml_host   *host;
	const mml_reader *reader;
	head		of;
	field_read *fields;			/* [n_fields] */
	uint32_t   *domains;		/* the reader's ids, by the writer's: [n_domains + 1] */
	unsigned char *row;			/* the one at work; all where they have items, which come behind them */
	uint32_t   *items;
} merge;

static mml_status
get(merge *from, void *bytes, size_t n)
{
	return n == 0 ? MML_OK : from->reader->read(from->reader->self, bytes, n);
}

static mml_status
read_field(merge *from, field_read *field)
{
	MML_TRY(get(from, &field->of, sizeof(field->of)));
	MML_TRY(MML_NEW(from->host, field->name, field->of.name_length + 1));
	MML_TRY(get(from, field->name, field->of.name_length));
	MML_TRY(MML_NEW(from->host, field->boundaries, (size_t) field->of.spec.n_boundaries));
	MML_TRY(get(from, field->boundaries, (size_t) field->of.spec.n_boundaries * sizeof(double)));
	MML_TRY(MML_NEW(from->host, field->hashes, field->of.n_values));
	MML_TRY(get(from, field->hashes, field->of.n_values * sizeof(uint64_t)));
	field->of.spec.name = field->name;
	field->of.spec.boundaries = field->boundaries;
	return MML_NEW(from->host, field->ids, (size_t) field->of.n_values + MML_ID_FIRST);
}

/* A set with the features of the bytes. */
static mml_status
create_set(merge *from, const mml_config *config, mml_rows **rows)
{
	mml_field_spec *specs;
	mml_status	status;

	MML_TRY(MML_NEW(from->host, specs, from->of.n_fields));
	for (uint32_t f = 0; f < from->of.n_fields; f++)
		specs[f] = from->fields[f].of.spec;
	status = mml_rows_create_training(from->host, config, specs, (int) from->of.n_fields, rows);
	mml_release(from->host, specs);
	return status;
}

static bool
is_same_field(const mml_field *field, const field_read *read)
{
	const mml_field_spec *spec = &read->of.spec;

	return strcmp(field->name, read->name) == 0 && field->kind == (int32_t) spec->kind &&
		field->hash_buckets == spec->hash_buckets && (field->log1p != 0) == spec->log1p &&
		(field->standardize != 0) == spec->standardize && (field->project != 0) == spec->project &&
		field->n_boundaries == (uint32_t) spec->n_boundaries &&
		(field->n_boundaries == 0 ||
		 memcmp(field->boundaries, read->boundaries, field->n_boundaries * sizeof(double)) == 0);
}

static mml_status
check_set(const merge *from, mml_rows *rows)
{
	bool		is_same = (uint32_t) rows->n_fields - 1 == from->of.n_fields;

	for (uint32_t f = 0; is_same && f < from->of.n_fields; f++)
		is_same = is_same_field(&rows->fields[f], &from->fields[f]);
	if (!is_same)
		return mml_fail(rows->host, MML_BAD_DATA, "rows have features of different names or types");
	if (rows->n_rows > 0 && from->of.n_rows > 0 && rows->has_times != (from->of.has_times != 0))
		return mml_fail(rows->host, MML_BAD_DATA, "some rows have a time and others have none");
	return MML_OK;
}

/* The reader's ids of all values. */
static mml_status
learn_values(mml_rows *rows, uint32_t f, field_read *field)
{
	field->ids[MML_ID_UNKNOWN] = MML_ID_UNKNOWN;
	field->ids[MML_ID_NULL] = MML_ID_NULL;
	for (uint32_t i = 0; i < field->of.n_values; i++)
	{
		MML_TRY(mml_vocabulary_learn(rows->host, &rows->fields[f].vocabulary, field->hashes[i],
									 &field->ids[i + MML_ID_FIRST]));
		if (i % ROWS_PER_POLL == ROWS_PER_POLL - 1)
			MML_TRY(mml_poll(rows->host));
	}
	return MML_OK;
}

static mml_status
learn_domains(merge *from, mml_rows *rows)
{
	char		name[MML_MAX_NAME + 1];

	MML_TRY(MML_NEW(from->host, from->domains, (size_t) from->of.n_domains + 1));
	for (uint32_t d = 1; d <= from->of.n_domains; d++)
	{
		uint32_t	length;
		int64_t		index;

		MML_TRY(get(from, &length, sizeof(length)));
		MML_TRY(get(from, name, length));
		index = mml_names_find(rows->names, name, length);
		if (index < 0)
		{
			uint32_t	added;

			MML_TRY(mml_names_add(rows->host, rows->names, name, length, &added));
			index = added;
		}
		from->domains[d] = (uint32_t) index + 1;
	}
	return MML_OK;
}

/* A hashed feature's ids are the same in all sets. */
static uint32_t
id_of(const field_read *field, uint32_t id)
{
	return field->of.spec.hash_buckets > 0 ? id : field->ids[id];
}

static mml_status
add_field(const merge *from, mml_rows *rows, uint32_t f, const uint32_t *record, const float *vectors)
{
	const field_read *field = &from->fields[f];
	const uint32_t *slot = record + field->of.slot;
	uint32_t   *to = rows->record + rows->fields[f].slot;

	switch (field->of.spec.kind)
	{
		case MML_CATEGORICAL:
			*to = id_of(field, *slot);
			return MML_OK;
		case MML_NUMERIC:
			memcpy(to, slot, sizeof(double));
			return MML_OK;
		case MML_MULTI:
			MML_TRY(mml_put_items_begin(rows, (int) f));
			for (uint32_t i = 0; i < slot[1]; i++)
				MML_TRY(mml_put_item_id(rows, (int) f, id_of(field, from->items[slot[0] + i])));
			return MML_OK;
		default:
			/* without a width all were NULL, which is 0, as new memory is */
			if (field->of.width > 0)
				memcpy(rows->vectors + rows->fields[f].vector_start, vectors + field->of.vector_start,
					   field->of.width * sizeof(float));
			return MML_OK;
	}
}

/* One row of the bytes. */
static mml_status
add_row(const merge *from, mml_rows *rows, const unsigned char *bytes)
{
	const uint32_t *record = (const uint32_t *) bytes;
	const float *vectors = (const float *) (record + from->of.row_words);
	double		time = 0.0;
	float		label;
	float		weight;

	MML_TRY(mml_rows_begin(rows));
	for (uint32_t f = 0; f < from->of.n_fields; f++)
		MML_TRY(add_field(from, rows, f, record, vectors));
	memcpy(&rows->hash, &record[MML_ROW_HASH], sizeof(rows->hash));
	memcpy(&label, &record[MML_ROW_LABEL], sizeof(label));
	memcpy(&weight, &record[MML_ROW_WEIGHT], sizeof(weight));
	rows->has_weights = rows->has_weights || weight != 1.0f;
	if (from->of.has_times)
	{
		memcpy(&time, vectors + from->of.vector_words, sizeof(time));
		MML_TRY(mml_rows_put_time(rows, time));
	}
	rows->has_times = from->of.has_times != 0;
	mml_rows_end_raw(rows, label, weight, from->domains[record[MML_ROW_DOMAIN]], (int) record[MML_ROW_SPLIT]);
	return MML_OK;
}

static mml_status
add_rows(merge *from, mml_rows *rows)
{
	size_t		bytes = (from->of.row_words + from->of.vector_words) * sizeof(uint32_t) +
		(from->of.has_times ? sizeof(double) : 0);
	size_t		held = from->of.n_items > 0 ? (size_t) from->of.n_rows : 1;

	MML_TRY(mml_alloc(from->host, (void **) &from->row, held, bytes));
	if (from->of.n_items > 0)
	{
		MML_TRY(get(from, from->row, held * bytes));
		MML_TRY(MML_NEW(from->host, from->items, (size_t) from->of.n_items));
		MML_TRY(get(from, from->items, (size_t) from->of.n_items * sizeof(uint32_t)));
	}
	for (size_t i = 0; i < from->of.n_rows; i++)
	{
		if (from->of.n_items == 0)
			MML_TRY(get(from, from->row, bytes));
		MML_TRY(add_row(from, rows, from->row + (from->of.n_items > 0 ? i * bytes : 0)));
		if (i % ROWS_PER_POLL == ROWS_PER_POLL - 1)
			MML_TRY(mml_poll(rows->host));
	}
	return MML_OK;
}

static mml_status
merge_all(merge *from, const mml_config *config, mml_rows **rows)
{
	MML_TRY(get(from, &from->of, sizeof(from->of)));
	MML_TRY(MML_NEW(from->host, from->fields, from->of.n_fields));
	for (uint32_t f = 0; f < from->of.n_fields; f++)
		MML_TRY(read_field(from, &from->fields[f]));
	if (*rows == NULL)
		MML_TRY(create_set(from, config, rows));
	MML_TRY(check_set(from, *rows));
	for (uint32_t f = 0; f < from->of.n_fields; f++)
	{
		MML_TRY(learn_values(*rows, f, &from->fields[f]));
		if (from->fields[f].of.spec.kind == MML_VECTOR && from->fields[f].of.width > 0)
			MML_TRY(mml_rows_set_width(*rows, (int) f, from->fields[f].of.width));
	}
	MML_TRY(learn_domains(from, *rows));
	return add_rows(from, *rows);
}

static void
forget(merge *from)
{
	for (uint32_t f = 0; from->fields != NULL && f < from->of.n_fields; f++)
	{
		mml_release(from->host, from->fields[f].name);
		mml_release(from->host, from->fields[f].boundaries);
		mml_release(from->host, from->fields[f].hashes);
		mml_release(from->host, from->fields[f].ids);
	}
	mml_release(from->host, from->fields);
	mml_release(from->host, from->domains);
	mml_release(from->host, from->row);
	mml_release(from->host, from->items);
}

mml_status
mml_rows_read(mml_host *host, const mml_config *config, const mml_reader *reader, mml_rows **rows)
{
	merge		from = {.host = host,.reader = reader};
	mml_status	status = merge_all(&from, config, rows);

	forget(&from);
	return status;
}
