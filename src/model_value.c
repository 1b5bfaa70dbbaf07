/*
 * model_value.c - models as values: from a bytea to a decoded model.
 *
 * The bytes are those that a stored version has (trainer/serialize.c draws
 * them), but they come from anywhere: nothing of them is believed before
 * mml_model_load() has verified it, and names must be text in this database.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"

#include "byte_source.h"
#include "moemlora.h"

#define SLICE_BYTES 262144		/* fetched at a time: they stay in the processor's cache until they are copied */
#define GLIMPSE_BYTES 1996		/* for a head of a section: those near by come along, and all lie in one toast row */

/* A value being read from its first byte to its last. */
typedef struct ValueStream
{
	ByteSource	source;
	Size		next;
} ValueStream;

/* mml_reader's callback */
static mml_status
ReadNext(void *self, void *bytes, size_t n)
{
	ValueStream *stream = self;
	char	   *target = bytes;

	while (n > 0)
	{
		Size		piece;
		const char *from = ByteSourceLook(&stream->source, stream->next, SLICE_BYTES, &piece);

		piece = Min(piece, n);
		memcpy(target, from, piece);
		stream->next += piece;
		target += piece;
		n -= piece;
	}
	return MML_OK;
}

/* mml_glimpse's callback */
static mml_status
ReadAt(void *self, uint64_t at, void *bytes, size_t n)
{
	ByteSource *source = self;
	char	   *target = bytes;

	while (n > 0)
	{
		Size		piece;
		const char *from = ByteSourceLook(source, (Size) at, GLIMPSE_BYTES, &piece);

		piece = Min(piece, n);
		memcpy(target, from, piece);
		at += piece;
		target += piece;
		n -= piece;
	}
	return MML_OK;
}

/* Raises where a text of the model is none in the database's encoding. */
static void
CheckText(const char *text, const char *what, int number)
{
	if (!pg_verifymbstr(text, (int) strlen(text), true))
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("the model's names are not valid in encoding \"%s\"", GetDatabaseEncodingName()),
						errdetail("It is the %s of number %d.", what, number),
						errhint("A model can be used in databases of the encoding that it was trained in.")));
}

static void
CheckTexts(const mml_model *model)
{
	int			i;

	for (i = 0; i < mml_model_features(model); i++)
	{
		mml_field_spec spec;

		mml_model_feature(model, i, &spec);
		CheckText(spec.name, "feature", i + 1);
	}
	for (i = 0; i < mml_model_domains(model); i++)
		CheckText(mml_model_domain(model, i)->name, "domain", i + 1);
	for (i = 0; i < mml_model_phases(model); i++)
		CheckText(mml_model_phase(model, i)->note, "note of the phase", i + 1);
}

mml_model *
ModelValueLoad(mml_host *host, Datum value)
{
	ValueStream stream = {.next = 0};
	mml_reader	reader = {.self = &stream, .read = ReadNext};
	mml_model  *model = NULL;
	mml_status	status;

	ByteSourceOpen(&stream.source, value);
	reader.total = stream.source.size;
	status = mml_model_load(host, &reader, &model);
	if (status == MML_BAD_MODEL && host->error.hint[0] == '\0')
		strlcpy(host->error.hint, "Export the model again with moemlora_export(), and carry the value over as it is.",
				sizeof(host->error.hint));
	BridgeCheck(host, status);
	ByteSourceClose(&stream.source);
	CheckTexts(model);
	return model;
}

void
ModelValueIdentify(Datum value, mml_digest *digest)
{
	ByteSource	source;
	mml_glimpse glimpse = {.self = &source, .read = ReadAt};

	ByteSourceOpen(&source, value);
	glimpse.total = source.size;
	if (mml_model_digest(&glimpse, digest) != MML_OK)
	{
		(void) ModelValueLoad(BridgeCreateHost(CurrentMemoryContext, 0), value);
		elog(ERROR, "a value without the heads of a model was loaded as one");
	}
	ByteSourceClose(&source);
}
