/*
 * model_store_write.c - creating models and adding versions.
 *
 * Who takes a model for it, and when: model_store_lock.c.  The caller's rights
 * are checked as the caller; only the statements on our own tables run as the
 * tables' owner (catalog.c).
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "catalog.h"
#include "compat.h"

#define MAX_COLUMNS 28			/* parameters of the longest statement below */

/* An INSERT and the row being put together for it. */
typedef struct RowWriter
{
	CatalogStatement insert;
	MemoryContext context;		/* current while rows are made, reset after each */
	MemoryContext outer;
	int			n_values;
	Datum		values[MAX_COLUMNS];
	char		nulls[MAX_COLUMNS];
} RowWriter;

/* Where mml_model_save() writes to: parts of moemlora.component. */
typedef struct PartWriter
{
	CatalogStatement insert;
	int64		version_id;
	int32		next_part;
	bytea	   *part;
	size_t		capacity;		/* of the part, without its head */
	size_t		used;
	uint64		written;		/* of all parts */
} PartWriter;

/* ------------------------------------------------------------------- rows */

static void
RowsBegin(RowWriter *row, const char *command, int n_columns, const Oid *types)
{
	Assert(n_columns <= MAX_COLUMNS);
	CatalogPrepare(&row->insert, command, n_columns, types);
	row->context = AllocSetContextCreate(CurrentMemoryContext, "moemlora catalog row", ALLOCSET_DEFAULT_SIZES);
	row->outer = MemoryContextSwitchTo(row->context);
	row->n_values = 0;
}

static void
AddValue(RowWriter *row, Datum value, bool is_null)
{
	Assert(row->n_values < row->insert.n_arguments);
	row->values[row->n_values] = value;
	row->nulls[row->n_values] = is_null ? 'n' : ' ';
	row->n_values++;
}

static void
AddInteger(RowWriter *row, int64 value)
{
	AddValue(row, Int64GetDatum(value), false);
}

static void
AddNumber(RowWriter *row, int32 value)
{
	AddValue(row, Int32GetDatum(value), false);
}

/* -1 stands for none. */
static void
AddIndex(RowWriter *row, int32 value)
{
	AddValue(row, Int32GetDatum(value), value < 0);
}

static void
AddBoolean(RowWriter *row, bool value)
{
	AddValue(row, BoolGetDatum(value), false);
}

/* NaN: not defined. */
static void
AddReal(RowWriter *row, double value)
{
	AddValue(row, Float8GetDatum(value), isnan(value));
}

static void
AddText(RowWriter *row, const char *value)
{
	AddValue(row, value == NULL ? (Datum) 0 : CStringGetTextDatum(value), value == NULL);
}

/* Inserts the row and begins the next one. */
static void
RowInsert(RowWriter *row)
{
	Assert(row->n_values == row->insert.n_arguments);
	(void) CatalogExecute(&row->insert, row->values, row->nulls);
	row->n_values = 0;
	MemoryContextReset(row->context);
	CHECK_FOR_INTERRUPTS();
}

static void
RowsEnd(RowWriter *row)
{
	MemoryContextSwitchTo(row->outer);
	MemoryContextDelete(row->context);
}

/* ------------------------------------------------------- parts of the model */

static void
InsertPart(PartWriter *writer)
{
	Datum		values[4];
	pg_crc32c	crc;

	SET_VARSIZE(writer->part, writer->used + VARHDRSZ);
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, VARDATA(writer->part), writer->used);
	FIN_CRC32C(crc);
	values[0] = Int64GetDatum(writer->version_id);
	values[1] = Int32GetDatum(writer->next_part);
	values[2] = Int64GetDatum((int64) crc);
	values[3] = PointerGetDatum(writer->part);
	(void) CatalogExecute(&writer->insert, values, NULL);
	writer->next_part++;
	writer->used = 0;
}

/* mml_writer's callback. */
static mml_status
WriteParts(void *self, const void *bytes, size_t n)
{
	PartWriter *writer = self;
	const char *source = bytes;

	writer->written += n;
	while (n > 0)
	{
		size_t		piece = Min(n, writer->capacity - writer->used);

		memcpy(VARDATA(writer->part) + writer->used, source, piece);
		writer->used += piece;
		source += piece;
		n -= piece;
		if (writer->used == writer->capacity)
			InsertPart(writer);
	}
	return MML_OK;
}

static void
InsertComponents(const mml_model *model, int64 version_id)
{
	static const Oid types[] = {INT8OID, INT4OID, INT8OID, BYTEAOID};
	uint64		total = mml_model_saved_bytes(model);
	PartWriter	state = {.version_id = version_id, .capacity = (size_t) Min(total, CATALOG_PART_BYTES)};
	mml_writer	writer = {.self = &state, .write = WriteParts};
	mml_host   *host = BridgeCreateHost(CurrentMemoryContext, 0);

	CatalogPrepare(&state.insert,
				   "INSERT INTO moemlora.component (version_id, kind, name, part, crc, data) "
				   "VALUES ($1, 'model', '', $2, $3, $4)", lengthof(types), types);
	state.part = palloc(state.capacity + VARHDRSZ);
	BridgeCheck(host, mml_model_save(host, model, &writer));
	if (state.used > 0)
		InsertPart(&state);
	if (state.written != total)
		elog(ERROR, "model was saved in " UINT64_FORMAT " bytes instead of " UINT64_FORMAT, state.written, total);
	pfree(state.part);
}

/* --------------------------------------------------------- tables beside it */

static void
InsertFeatures(const mml_model *model, const ModelDescription *description, int64 version_id)
{
	static const Oid types[] = {INT8OID, INT4OID, TEXTOID, INT4OID, TEXTOID, INT8OID};
	RowWriter	row;
	int			n_features = mml_model_features(model);

	RowsBegin(&row,
			  "INSERT INTO moemlora.feature (version_id, position, name, kind, sql_type, size) VALUES ($1, $2, $3, "
			  "(ARRAY['categorical', 'numeric', 'multi', 'vector'])[$4 + 1], $5, $6)", lengthof(types), types);
	for (int i = 0; i < n_features; i++)
	{
		mml_field_spec spec;

		mml_model_feature(model, i, &spec);
		AddInteger(&row, version_id);
		AddNumber(&row, i + 1);
		AddText(&row, spec.name);
		AddNumber(&row, (int32) spec.kind);
		AddText(&row, i < list_length(description->feature_types) ? list_nth(description->feature_types, i) : NULL);
		AddInteger(&row, spec.kind == MML_VECTOR ? spec.width : mml_model_feature_size(model, i));
		RowInsert(&row);
	}
	RowsEnd(&row);
}

static void
InsertDomains(const mml_model *model, int64 version_id)
{
	static const Oid types[] = {INT8OID, INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID, INT4OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID};
	RowWriter	row;
	int			n_domains = mml_model_domains(model);

	RowsBegin(&row,
			  "INSERT INTO moemlora.domain (version_id, position, name, rows, positives, valid_rows, first_expert, "
			  "backbone_auc, expert_auc, gated_auc) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
			  lengthof(types), types);
	for (int i = 0; i < n_domains; i++)
	{
		const mml_domain *domain = mml_model_domain(model, i);

		AddInteger(&row, version_id);
		AddNumber(&row, i + 1);
		AddText(&row, domain->name);
		AddInteger(&row, domain->rows);
		AddInteger(&row, domain->positives);
		AddInteger(&row, domain->valid_rows);
		AddIndex(&row, domain->first_expert);
		AddReal(&row, domain->backbone_auc);
		AddReal(&row, domain->own_auc);
		AddReal(&row, domain->gate_auc);
		RowInsert(&row);
	}
	RowsEnd(&row);
}

static void
InsertPhases(const mml_model *model, int64 version_id)
{
	static const Oid types[] = {INT8OID, INT4OID, TEXTOID, INT4OID, INT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, BOOLOID, TEXTOID};
	RowWriter	row;
	int			n_phases = mml_model_phases(model);

	RowsBegin(&row,
			  "INSERT INTO moemlora.phase (version_id, position, name, epochs, rows, seconds, rows_per_second, "
			  "train_logloss, valid_logloss, valid_auc, valid_wauc, is_used, note) "
			  "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)", lengthof(types), types);
	for (int i = 0; i < n_phases; i++)
	{
		const mml_phase_summary *phase = mml_model_phase(model, i);

		AddInteger(&row, version_id);
		AddNumber(&row, i + 1);
		AddText(&row, mml_phase_name((mml_phase) phase->phase));
		AddNumber(&row, phase->epochs);
		AddInteger(&row, phase->rows);
		AddReal(&row, phase->seconds);
		AddReal(&row, phase->rows_per_second);
		AddReal(&row, phase->train_logloss);
		AddReal(&row, phase->valid_logloss);
		AddReal(&row, phase->valid_auc);
		AddReal(&row, phase->valid_wauc);
		AddBoolean(&row, phase->is_used != 0);
		AddText(&row, phase->note[0] == '\0' ? NULL : phase->note);
		RowInsert(&row);
	}
	RowsEnd(&row);
}

void
CatalogInsertEpochs(const char *table, int64 key, const mml_epoch *epochs, int first, int n)
{
	static const Oid types[] = {INT8OID, INT4OID, INT4OID, TEXTOID, INT4OID, TEXTOID, INT4OID, INT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, BOOLOID};
	RowWriter	row;

	RowsBegin(&row,
			  psprintf("INSERT INTO moemlora.%s VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)", table),
			  lengthof(types), types);
	for (int i = 0; i < n; i++)
	{
		const mml_epoch *epoch = &epochs[i];

		AddInteger(&row, key);
		AddNumber(&row, first + i + 1);
		AddNumber(&row, epoch->run + 1);
		AddText(&row, mml_phase_name(epoch->phase));
		AddIndex(&row, epoch->expert);
		AddText(&row, epoch->domain_name);
		AddNumber(&row, epoch->epoch);
		AddInteger(&row, epoch->rows);
		AddReal(&row, epoch->seconds);
		AddReal(&row, epoch->train_logloss);
		AddReal(&row, epoch->valid_logloss);
		AddReal(&row, epoch->valid_auc);
		AddBoolean(&row, epoch->is_best);
		RowInsert(&row);
	}
	RowsEnd(&row);
}

/* Those of earlier transactions of the run, then the others. */
static void
InsertEpochs(const ModelDescription *description, int64 model_id, int64 version_id)
{
	static const Oid types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(version_id), Int64GetDatum(model_id)};
	CatalogStatement insert;

	if (description->first_epoch > 0)
	{
		CatalogPrepare(&insert,
					   "INSERT INTO moemlora.epoch SELECT $1, position, run, phase, expert, domain, epoch, rows, seconds, "
					   "train_logloss, valid_logloss, valid_auc, is_best FROM moemlora.checkpoint_epoch "
					   "WHERE model_id = $2", lengthof(types), types);
		(void) CatalogExecute(&insert, values, NULL);
	}
	CatalogInsertEpochs("epoch", version_id, description->epochs, description->first_epoch, description->n_epochs);
}

/* A new version has made what an earlier run had learned worthless. */
static void
DropCheckpoint(int64 model_id)
{
	static const Oid types[] = {INT8OID};
	Datum		value = Int64GetDatum(model_id);
	CatalogStatement drop;

	CatalogPrepare(&drop, "DELETE FROM moemlora.checkpoint WHERE model_id = $1", lengthof(types), types);
	(void) CatalogExecute(&drop, &value, NULL);
}

/* ------------------------------------------------------------- the version */

/* The value of an option of the core by its name, as text. */
static char *
OptionText(const mml_model *model, const char *name)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	char		buffer[256];

	for (int i = 0; i < n_options; i++)
	{
		if (strcmp(options[i].name, name) == 0)
		{
			mml_config_get_text(mml_model_config(model), &options[i], buffer, sizeof(buffer));
			return pstrdup(buffer);
		}
	}
	elog(ERROR, "option \"%s\" is not known", name);
}

/* What a later training needs to read the same rows again: $4 .. $9. */
static void
AddSpec(RowWriter *row, const mml_model *model, const ModelDescription *description)
{
	int			n_features = mml_model_features(model);
	Datum	   *names = palloc(sizeof(Datum) * Max(n_features, 1));

	for (int i = 0; i < n_features; i++)
	{
		mml_field_spec spec;

		mml_model_feature(model, i, &spec);
		names[i] = CStringGetTextDatum(spec.name);
	}
	AddText(row, description->source);
	AddText(row, description->label);
	AddText(row, description->domain);
	AddValue(row, PointerGetDatum(construct_array(names, n_features, TEXTOID, -1, false, TYPALIGN_INT)), false);
	AddValue(row, JsonbPGetDatum(description->options), description->options == NULL);
	AddText(row, description->search_path);
}

/* What a person asks for: $10 .. $25. */
static void
AddFacts(RowWriter *row, const mml_model *model, const ModelDescription *description, const char *creator)
{
	mml_model_facts facts;

	mml_model_get_facts(model, &facts);
	AddText(row, creator);
	AddReal(row, description->seconds);
	AddText(row, OptionText(model, "backbone"));
	AddText(row, OptionText(model, "method"));
	AddText(row, OptionText(model, "recipe"));
	AddText(row, mml_mode_name(facts.served));
	AddNumber(row, mml_model_features(model));
	AddNumber(row, mml_model_domains(model));
	AddNumber(row, facts.n_experts);
	AddInteger(row, facts.train_rows);
	AddInteger(row, facts.valid_rows);
	AddInteger(row, description->rows_left_out);
	AddReal(row, facts.valid_auc);
	AddReal(row, facts.valid_wauc);
	AddReal(row, facts.valid_logloss);
	AddInteger(row, facts.parameters);
}

static int64
InsertVersion(const mml_model *model, const ModelDescription *description, int64 model_id, int32 number,
			  const char *creator)
{
	static const Oid types[] = {INT8OID, INT4OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, JSONBOID, TEXTOID,
		TEXTOID, FLOAT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT4OID, INT8OID, INT8OID, INT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, INT8OID, TEXTOID, TEXTOID, JSONBOID};
	const ModelDecision *decision = &description->decision;
	RowWriter	row;
	int64		version_id;

	RowsBegin(&row,
			  "INSERT INTO moemlora.version (model_id, number, bytes, spec, created_by, seconds, backbone, method, recipe, "
			  "served, n_features, n_domains, n_experts, train_rows, valid_rows, rows_left_out, valid_auc, valid_wauc, "
			  "valid_logloss, parameters, decision, decision_reason) "
			  "VALUES ($1, $2, $3, jsonb_build_object('source', $4, 'label', $5, 'domain', $6, 'features', $7, "
			  "'search_path', $9) || CASE WHEN $8 IS NULL THEN '{}' ELSE jsonb_build_object('options', $8) END "
			  "|| CASE WHEN $28 IS NULL THEN '{}' ELSE jsonb_build_object('added', $28) END, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, "
			  "$24, $25, $26, $27) RETURNING id", lengthof(types), types);
	AddInteger(&row, model_id);
	AddNumber(&row, number);
	AddInteger(&row, (int64) mml_model_saved_bytes(model));
	AddSpec(&row, model, description);
	AddFacts(&row, model, description, creator);
	AddText(&row, !decision->is_taken ? NULL : decision->is_kept_back ? "kept back" : "promoted");
	AddText(&row, decision->reason);
	AddValue(&row, JsonbPGetDatum(description->added), description->added == NULL);
	RowInsert(&row);
	version_id = CatalogReturned();
	RowsEnd(&row);
	return version_id;
}

/* ---------------------------------------------------------------- the model */

/* Returns the new model's id; its first version, number 1, is current. */
static int64
CreateModel(const char *name, const char *owner)
{
	static const Oid types[] = {TEXTOID, TEXTOID};
	CatalogStatement insert;
	Datum		values[2];

	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(owner);
	CatalogPrepare(&insert,
				   "INSERT INTO moemlora.model (name, owner, current_version, last_version) "
				   "VALUES ($1, $2::name, 1, 1) ON CONFLICT (name) DO NOTHING RETURNING id", lengthof(types), types);
	if (CatalogExecute(&insert, values, NULL) != 1)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("model \"%s\" was created by another session", name),
						errhint("Try again to add a version to it, if you may.")));
	return CatalogReturned();
}

/* Gives a new version its number, which is never used twice, and makes it current unless it is kept back. */
static int32
AdvanceModel(int64 model_id, bool is_kept_back)
{
	static const Oid types[] = {INT8OID};
	CatalogStatement update;
	Datum		value = Int64GetDatum(model_id);

	CatalogPrepare(&update, is_kept_back ?
				   "UPDATE moemlora.model SET last_version = last_version + 1 WHERE id = $1 RETURNING last_version::int8" :
				   "UPDATE moemlora.model SET earlier_versions = array_append(earlier_versions, current_version), "
				   "current_version = last_version + 1, last_version = last_version + 1 "
				   "WHERE id = $1 RETURNING last_version::int8", lengthof(types), types);
	if (CatalogExecute(&update, &value, NULL) != 1)
		elog(ERROR, "model " INT64_FORMAT " has disappeared", model_id);
	return (int32) CatalogReturned();
}

/* A decision holds against one version: when another one is current now, nothing is known. */
static void
CheckDecision(ModelDecision *decision, int32 current)
{
	if (decision->is_kept_back || decision->against == 0 || decision->against == current)
		return;
	decision->is_kept_back = true;
	decision->reason = psprintf("version %d became current while it was trained", current);
}

/* Writes a new version, makes it current unless it is decided otherwise; returns its number. */
int32
ModelStoreSave(const mml_model *model, ModelDescription *description)
{
	const char *user = GetUserNameFromId(GetUserId(), false);
	CatalogWriter writer;
	ModelRow	found;
	bool		is_new = !ModelTakeToStore(description->name, &found);
	int64		version_id;
	int32		number = 1;

	if (!is_new)
		CheckDecision(&description->decision, found.current_version);
	CatalogWriteBegin(&writer);
	if (is_new)
		found.id = CreateModel(description->name, user);
	else
		number = AdvanceModel(found.id, description->decision.is_kept_back);
	version_id = InsertVersion(model, description, found.id, number, user);
	InsertComponents(model, version_id);
	InsertFeatures(model, description, version_id);
	InsertDomains(model, version_id);
	InsertPhases(model, version_id);
	InsertEpochs(description, found.id, version_id);
	DropCheckpoint(found.id);
	CatalogWriteEnd(&writer);
	return number;
}
