/*
 * checkpoint.c - the stored state of a retraining, by which it shows and can go
 * on: tables moemlora.checkpoint, .checkpoint_part and .checkpoint_epoch.
 *
 * A state comes from the core in sections (mml_run.h) and lies in parts of 1 MB.
 * After an epoch only the parts are written that it changed: in the phases that
 * leave the tables alone that is little.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "byte_source.h"
#include "catalog.h"
#include "checkpoint.h"

#define PART_BYTES (1024 * 1024)

/* ---------------------------------------------------------------- the row */

/* Rows of moemlora.checkpoint_epoch. */
static int
CountEpochs(int64 model_id, Snapshot snapshot)
{
	CatalogScan scan;
	ScanKeyData key;
	int			n = 0;

	CatalogKeyInteger(&key, 1, model_id);
	CatalogScanBegin(&scan, "checkpoint_epoch", "checkpoint_epoch_pkey", snapshot, 1, &key);
	while (CatalogScanNext(&scan) != NULL)
		n++;
	CatalogScanEnd(&scan);
	return n;
}

bool
CheckpointFind(int64 model_id, Snapshot snapshot, CheckpointRow *found)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	row;

	CatalogKeyInteger(&key, Anum_checkpoint_model_id, model_id);
	CatalogScanBegin(&scan, "checkpoint", "checkpoint_pkey", snapshot, 1, &key);
	row = CatalogScanNext(&scan);
	if (row != NULL)
	{
		found->model_id = model_id;
		found->version = DatumGetInt32(CatalogScanValue(&scan, row, Anum_checkpoint_version));
		found->options = DatumGetJsonbPCopy(CatalogScanValue(&scan, row, Anum_checkpoint_options));
		found->identity[0] = (uint64) DatumGetInt64(CatalogScanValue(&scan, row, Anum_checkpoint_identity_rows));
		found->identity[1] = (uint64) DatumGetInt64(CatalogScanValue(&scan, row, Anum_checkpoint_identity_run));
		found->has_parts = DatumGetBool(CatalogScanValue(&scan, row, Anum_checkpoint_has_parts));
		found->seconds = DatumGetFloat8(CatalogScanValue(&scan, row, Anum_checkpoint_seconds));
		found->n_epochs = CountEpochs(model_id, snapshot);
	}
	CatalogScanEnd(&scan);
	return row != NULL;
}

/* Runs one statement whose first argument is the model; returns the number of rows. */
static uint64
Execute(const char *command, int n_arguments, const Oid *types, Datum *values)
{
	CatalogStatement statement;

	CatalogPrepare(&statement, command, n_arguments, types);
	return CatalogExecute(&statement, values, NULL);
}

void
CheckpointCreate(int64 model_id, int32 version, Jsonb *options)
{
	static const Oid types[] = {INT8OID, INT4OID, INT4OID, JSONBOID};
	Datum		values[] = {Int64GetDatum(model_id), Int32GetDatum(MyProcPid), Int32GetDatum(version),
	JsonbPGetDatum(options)};
	CatalogWriter writer;

	CatalogWriteBegin(&writer);
	(void) Execute("DELETE FROM moemlora.checkpoint WHERE model_id = $1", 1, types, values);
	(void) Execute("INSERT INTO moemlora.checkpoint (model_id, pid, started, saved, version, options, phase, epochs, fraction, "
			"seconds, identity_rows, identity_run, has_parts) "
			"VALUES ($1, $2, clock_timestamp(), clock_timestamp(), $3, $4, 'reading', 0, 0, 0, 0, 0, false)",
			lengthof(types), types, values);
	CatalogWriteEnd(&writer);
}

void
CheckpointTakeOver(int64 model_id)
{
	static const Oid types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(model_id), Int32GetDatum(MyProcPid)};
	CatalogWriter writer;

	CatalogWriteBegin(&writer);
	(void) Execute("UPDATE moemlora.checkpoint SET pid = $2, started = clock_timestamp() WHERE model_id = $1",
				   lengthof(types), types, values);
	CatalogWriteEnd(&writer);
}

void
CheckpointSetOptions(int64 model_id, Jsonb *options)
{
	static const Oid types[] = {INT8OID, JSONBOID};
	Datum		values[] = {Int64GetDatum(model_id), JsonbPGetDatum(options)};
	CatalogWriter writer;

	CatalogWriteBegin(&writer);
	(void) Execute("UPDATE moemlora.checkpoint SET options = $2 WHERE model_id = $1", lengthof(types), types, values);
	CatalogWriteEnd(&writer);
}

/* ------------------------------------------------------------------ reading */

/* A section, as mml_reader's callback sees it. */
typedef struct SectionReader
{
	CatalogScan scan;
	int64		model_id;
	int			section;
	int			next_part;
	ByteSource	part;
	const char *bytes;			/* of the part, not yet taken */
	Size		n_bytes;
} SectionReader;

static void
BeginSection(SectionReader *reader, int64 model_id, int section, Snapshot snapshot)
{
	ScanKeyData keys[2];

	memset(reader, 0, sizeof(*reader));
	reader->model_id = model_id;
	reader->section = section;
	CatalogKeyInteger(&keys[0], Anum_checkpoint_part_model_id, model_id);
	CatalogKeyNumber(&keys[1], Anum_checkpoint_part_section, section);
	CatalogScanBegin(&reader->scan, "checkpoint_part", "checkpoint_part_pkey", snapshot, 2, keys);
}

static void
EndSection(SectionReader *reader)
{
	ByteSourceClose(&reader->part);
	CatalogScanEnd(&reader->scan);
}

/* Raises: the bytes are not what was stored. */
static void
SectionDamaged(const SectionReader *reader, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("checkpoint is damaged"),
					errdetail("Part %d of section %d %s.", reader->next_part, reader->section, what),
					errhint("Begin anew: CALL moemlora_retrain() without \"resume\".")));
}

static void
OpenPart(SectionReader *reader)
{
	HeapTuple	row = CatalogScanNext(&reader->scan);
	pg_crc32c	crc;

	ByteSourceClose(&reader->part);
	if (row == NULL ||
		DatumGetInt32(CatalogScanValue(&reader->scan, row, Anum_checkpoint_part_part)) != reader->next_part)
		SectionDamaged(reader, "is missing");
	ByteSourceOpen(&reader->part, CatalogScanValue(&reader->scan, row, Anum_checkpoint_part_data));
	if (reader->part.size == 0)
		SectionDamaged(reader, "is empty");
	reader->bytes = ByteSourceLook(&reader->part, 0, reader->part.size, &reader->n_bytes);
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, reader->bytes, reader->n_bytes);
	FIN_CRC32C(crc);
	if (DatumGetInt64(CatalogScanValue(&reader->scan, row, Anum_checkpoint_part_crc)) != (int64) crc)
		SectionDamaged(reader, "has a wrong checksum");
	reader->next_part++;
}

static mml_status
ReadSection(void *self, void *bytes, size_t n)
{
	SectionReader *reader = self;
	char	   *target = bytes;

	while (n > 0)
	{
		Size		piece;

		if (reader->n_bytes == 0)
			OpenPart(reader);
		piece = Min(n, reader->n_bytes);
		memcpy(target, reader->bytes, piece);
		reader->bytes += piece;
		reader->n_bytes -= piece;
		target += piece;
		n -= piece;
	}
	return MML_OK;
}

/* Bytes of a section, without fetching them. */
static uint64
SectionBytes(int64 model_id, int section, Snapshot snapshot)
{
	SectionReader reader;
	HeapTuple	row;
	uint64		total = 0;

	BeginSection(&reader, model_id, section, snapshot);
	while ((row = CatalogScanNext(&reader.scan)) != NULL)
	{
		ByteSourceOpen(&reader.part, CatalogScanValue(&reader.scan, row, Anum_checkpoint_part_data));
		total += reader.part.size;
	}
	EndSection(&reader);
	return total;
}

/* A section that is needed, for the core to read. */
static mml_reader
OpenSection(SectionReader *section, int64 model_id, int number, Snapshot snapshot)
{
	mml_reader	reader = {.self = section, .total = SectionBytes(model_id, number, snapshot), .read = ReadSection};

	BeginSection(section, model_id, number, snapshot);
	if (reader.total == 0)
		SectionDamaged(section, "is missing");
	return reader;
}

mml_model *
CheckpointLoadModel(mml_host *host, int64 model_id, Snapshot snapshot)
{
	SectionReader section;
	mml_reader	reader = OpenSection(&section, model_id, MML_CHECKPOINT_MODEL, snapshot);
	mml_model  *model = NULL;

	BridgeCheck(host, mml_model_load(host, &reader, &model));
	EndSection(&section);
	return model;
}

void
CheckpointRestore(mml_host *host, mml_run *run, int64 model_id, Snapshot snapshot)
{
	int			i;

	for (i = 0; i < MML_CHECKPOINT_PARTS; i++)
	{
		SectionReader section;
		mml_reader	reader;

		if (!mml_run_has_part(run, i))
			continue;
		reader = OpenSection(&section, model_id, i, snapshot);
		BridgeCheck(host, mml_run_restore(run, i, &reader));
		EndSection(&section);
	}
}

/* ------------------------------------------------------------------ writing */

/* What a section's parts were when they were written last: a hash of each. */
typedef struct KnownParts
{
	uint64	   *hashes;			/* [held] */
	int			n;
	int			held;
} KnownParts;

struct CheckpointWriter
{
	mml_host   *host;
	MemoryContext context;
	int64		model_id;
	uint64		identity[MML_IDENTITY_WORDS];
	bool		is_first;		/* nothing was written yet */
	KnownParts	known[MML_CHECKPOINT_PARTS];

	/* The section at work */
	CatalogStatement upsert;
	int			section;
	int			next_part;
	bytea	   *part;			/* PART_BYTES of data */
	Size		used;
};

CheckpointWriter *
CheckpointWriterCreate(mml_host *host, int64 model_id, const uint64 *identity)
{
	CheckpointWriter *writer = palloc0(sizeof(CheckpointWriter));

	writer->host = host;
	writer->context = CurrentMemoryContext;
	writer->model_id = model_id;
	memcpy(writer->identity, identity, sizeof(writer->identity));
	writer->is_first = true;
	writer->part = palloc(VARHDRSZ + PART_BYTES);
	return writer;
}

/* Whether the part is another one than was written before; notes it. */
static bool
PartIsNew(CheckpointWriter *writer)
{
	KnownParts *known = &writer->known[writer->section];
	uint64		hash = hash_bytes_extended((const unsigned char *) VARDATA(writer->part), (int) writer->used, 0);

	if (writer->next_part < known->n && known->hashes[writer->next_part] == hash)
		return false;
	if (writer->next_part == known->held)
	{
		known->held = Max(16, known->held * 2);
		known->hashes = known->hashes == NULL ?
			MemoryContextAlloc(writer->context, known->held * sizeof(uint64)) :
			repalloc(known->hashes, known->held * sizeof(uint64));
	}
	known->hashes[writer->next_part] = hash;
	known->n = Max(known->n, writer->next_part + 1);
	return true;
}

static void
EndPart(CheckpointWriter *writer)
{
	Datum		values[5];
	pg_crc32c	crc;

	if (PartIsNew(writer))
	{
		SET_VARSIZE(writer->part, VARHDRSZ + writer->used);
		INIT_CRC32C(crc);
		COMP_CRC32C(crc, VARDATA(writer->part), writer->used);
		FIN_CRC32C(crc);
		values[0] = Int64GetDatum(writer->model_id);
		values[1] = Int32GetDatum(writer->section);
		values[2] = Int32GetDatum(writer->next_part);
		values[3] = Int64GetDatum((int64) crc);
		values[4] = PointerGetDatum(writer->part);
		(void) CatalogExecute(&writer->upsert, values, NULL);
		CHECK_FOR_INTERRUPTS();
	}
	writer->next_part++;
	writer->used = 0;
}

/* mml_writer's callback. */
static mml_status
WriteSection(void *self, const void *bytes, size_t n)
{
	CheckpointWriter *writer = self;
	const char *source = bytes;

	while (n > 0)
	{
		Size		piece = Min(n, PART_BYTES - writer->used);

		memcpy(VARDATA(writer->part) + writer->used, source, piece);
		writer->used += piece;
		source += piece;
		n -= piece;
		if (writer->used == PART_BYTES)
			EndPart(writer);
	}
	return MML_OK;
}

static void
SaveSection(CheckpointWriter *writer, const mml_run *run, int section)
{
	mml_writer	to = {.self = writer, .write = WriteSection};

	writer->section = section;
	writer->next_part = 0;
	writer->used = 0;
	BridgeCheck(writer->host, mml_run_save(run, section, &to));
	if (writer->used > 0)
		EndPart(writer);
}

/* What the run needs no more. */
static void
ForgetSection(CheckpointWriter *writer, int section)
{
	static const Oid types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(writer->model_id), Int32GetDatum(section)};

	if (writer->known[section].n == 0)
		return;
	(void) Execute("DELETE FROM moemlora.checkpoint_part WHERE model_id = $1 AND section = $2", lengthof(types), types, values);
	writer->known[section].n = 0;
}

/* What another run has left: all parts, and the epochs behind those that this one goes on from. */
static void
ForgetOthers(CheckpointWriter *writer, int first_epoch)
{
	static const Oid types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(writer->model_id), Int32GetDatum(first_epoch)};

	if (!writer->is_first)
		return;
	(void) Execute("DELETE FROM moemlora.checkpoint_part WHERE model_id = $1", 1, types, values);
	(void) Execute("DELETE FROM moemlora.checkpoint_epoch WHERE model_id = $1 AND position > $2", lengthof(types), types, values);
	writer->is_first = false;
}

/* The run must be ours still: a source can give the lock away that keeps others from the model. */
static void
SaveStanding(const CheckpointWriter *writer, const mml_run *run, double seconds)
{
	static const Oid types[] = {INT8OID, TEXTOID, INT4OID, FLOAT8OID, FLOAT8OID, INT8OID, INT8OID, INT4OID};
	mml_standing standing;
	Datum		values[lengthof(types)];

	mml_run_standing(run, &standing);
	values[0] = Int64GetDatum(writer->model_id);
	values[1] = CStringGetTextDatum(mml_phase_name(standing.phase));
	values[2] = Int32GetDatum(standing.epoch);
	values[3] = Float8GetDatum(standing.fraction);
	values[4] = Float8GetDatum(seconds);
	values[5] = Int64GetDatum((int64) writer->identity[0]);
	values[6] = Int64GetDatum((int64) writer->identity[1]);
	values[7] = Int32GetDatum(MyProcPid);
	if (Execute("UPDATE moemlora.checkpoint SET saved = clock_timestamp(), phase = $2, epochs = $3, fraction = $4, seconds = $5, "
				"identity_rows = $6, identity_run = $7, has_parts = true WHERE model_id = $1 AND pid = $8",
				lengthof(types), types, values) == 0)
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("another training of the model has taken the place of this one"),
						errdetail("The lock that keeps others from the model was given away, as pg_advisory_unlock_all() does."),
						errhint("Look for that in the source.")));
}

void
CheckpointSave(CheckpointWriter *writer, const mml_run *run, double seconds, const mml_epoch *epochs, int first, int n)
{
	static const Oid types[] = {INT8OID, INT4OID, INT4OID, INT8OID, BYTEAOID};
	CatalogWriter catalog;
	int			i;

	CatalogWriteBegin(&catalog);
	SaveStanding(writer, run, seconds);
	ForgetOthers(writer, first);
	CatalogPrepare(&writer->upsert,
				   "INSERT INTO moemlora.checkpoint_part (model_id, section, part, crc, data) VALUES ($1, $2, $3, $4, $5) "
				   "ON CONFLICT (model_id, section, part) DO UPDATE SET crc = excluded.crc, data = excluded.data",
				   lengthof(types), types);
	for (i = 0; i < MML_CHECKPOINT_PARTS; i++)
	{
		if (mml_run_has_part(run, i))
			SaveSection(writer, run, i);
		else
			ForgetSection(writer, i);
	}
	CatalogInsertEpochs("checkpoint_epoch", writer->model_id, epochs, first, n);
	CatalogWriteEnd(&catalog);
}
