/*
 * test_checkpoint.c - a training that is left after every epoch, and taken up
 * again by a run that knows nothing but the rows and a checkpoint: bitwise the
 * same model.  Rows and options that are not the same ones are told apart, and
 * bytes that are no checkpoint are refused or do no harm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;
static const mml_team alone = {.rank = 0,.size = 1};

/* ------------------------------------------------------------------- parts */

/* A checkpoint: at[part] has no bytes where the part is not needed. */
typedef struct checkpoint
{
	uint64_t	identity[MML_IDENTITY_WORDS];
	unit_bytes	at[MML_CHECKPOINT_PARTS];
} checkpoint;

static mml_status
append(void *self, const void *bytes, size_t n)
{
	unit_bytes *to = self;

	if (to->n + n > to->held)
	{
		to->held = 2 * (to->n + n);
		to->at = realloc(to->at, to->held);
	}
	memcpy(to->at + to->n, bytes, n);
	to->n += n;
	return MML_OK;
}

static mml_status
fetch(void *self, void *bytes, size_t n)
{
	unit_bytes *from = self;

	if (n > from->n - from->next)
		return mml_fail(&unit.host, MML_BAD_MODEL, "bytes end too early");
	memcpy(bytes, from->at + from->next, n);
	from->next += n;
	return MML_OK;
}

static void
forget(checkpoint *of)
{
	for (int part = 0; part < MML_CHECKPOINT_PARTS; part++)
		unit_bytes_free(&of->at[part]);
	memset(of, 0, sizeof(*of));
}

static mml_status
save(const mml_run *run, checkpoint *to)
{
	forget(to);
	MML_TRY(mml_run_identity(run, to->identity));
	for (int part = 0; part < MML_CHECKPOINT_PARTS; part++)
	{
		mml_writer	writer = {.self = &to->at[part],.write = append};

		if (mml_run_has_part(run, part))
			MML_TRY(mml_run_save(run, part, &writer));
	}
	return MML_OK;
}

static mml_status
restore_part(mml_run *run, checkpoint *from, int part)
{
	mml_reader	reader = {.self = &from->at[part],.total = from->at[part].n,.read = fetch};

	from->at[part].next = 0;
	return mml_run_restore(run, part, &reader);
}

static mml_status
restore(mml_run *run, checkpoint *from)
{
	for (int part = 0; part < MML_CHECKPOINT_PARTS; part++)
	{
		bool		is_needed = mml_run_has_part(run, part);

		unit_check(part == 0 || is_needed == (from->at[part].n > 0), "part %d is %sneeded", part, is_needed ? "" : "not ");
		if (is_needed)
			MML_TRY(restore_part(run, from, part));
	}
	return MML_OK;
}

/* -------------------------------------------------------------------- runs */

static bool
begin(const char *what, const mml_config *config, const unit_data *data, uint64_t order, mml_rows **rows, mml_run **run)
{
	int			size = 1;
	mml_status	status = unit_rows(&unit.host, config, data, order, rows);

	if (status == MML_OK)
		status = mml_run_create(&unit.host, *rows, config, &size, run);
	if (!unit_check(status == MML_OK, "%s: %s, %s", what, unit_error(&unit.host), unit.host.error.detail))
		return false;
	mml_run_set_pauses(*run);
	return true;
}

static void
end(mml_rows *rows, mml_run *run)
{
	mml_run_free(run);
	mml_rows_free(rows);
}

/* Every epoch in a run of its own.  Returns the number of runs; bytes: of the model. */
static int
train_in_pieces(const char *what, const mml_config *config, const unit_data *data, unit_bytes *bytes)
{
	static checkpoint kept;
	int			n = 0;
	double		fraction = 0.0;
	bool		is_done = false;

	memset(bytes, 0, sizeof(*bytes));
	forget(&kept);
	while (!is_done && n < 200)
	{
		mml_standing standing;
		mml_model  *model = NULL;
		mml_rows   *rows;
		mml_run    *run;
		mml_status	status;

		if (!begin(what, config, data, (uint64_t) n, &rows, &run))
			return n;
		status = n++ == 0 ? MML_OK : restore(run, &kept);
		if (status == MML_OK)
			status = mml_run_take_part(run, &unit.host, &alone);
		is_done = status != MML_OK || mml_run_is_done(run);
		mml_run_standing(run, &standing);
		unit_check(standing.fraction >= fraction && standing.fraction <= 1.0, "%s: fraction %f after %f", what,
				   standing.fraction, fraction);
		fraction = standing.fraction;
		if (status == MML_OK && !is_done)
			status = save(run, &kept);
		if (status == MML_OK && is_done)
			status = mml_run_finish(run, &model);
		if (status == MML_OK && is_done)
			status = unit_save(&unit.host, model, bytes);
		unit_check(status == MML_OK, "%s, run %d: %s, %s", what, n, unit_error(&unit.host), unit.host.error.detail);
		mml_model_free(model);
		end(rows, run);
	}
	forget(&kept);
	return n;
}

static void
check_same(const char *what, const mml_config *config, const unit_data *data)
{
	unit_bytes	whole;
	unit_bytes	pieces;
	int			n;

	unit_train_and_save(&unit, what, config, data, 1, &whole);
	n = train_in_pieces(what, config, data, &pieces);
	unit_check(unit_same_bytes(&whole, &pieces), "%s: another model in %d pieces", what, n);
	unit_check(n > 2, "%s: %d pieces", what, n);
	unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
	unit_bytes_free(&whole);
	unit_bytes_free(&pieces);
}

/* ----------------------------------------------------------------- identity */

static void
identity_of(const mml_config *config, const unit_data *data, uint64_t order, uint64_t *identity)
{
	mml_rows   *rows;
	mml_run    *run;

	if (!begin("identity", config, data, order, &rows, &run))
		return;
	unit_check(mml_run_identity(run, identity) == MML_OK, "identity: %s", unit_error(&unit.host));
	end(rows, run);
}

static void
check_identity(const char *what, bool is_same, const mml_config *config, const unit_data *data, const uint64_t *before)
{
	uint64_t	now[MML_IDENTITY_WORDS];

	identity_of(config, data, 7, now);
	unit_check((memcmp(now, before, sizeof(now)) == 0) == is_same, "identity with %s", what);
}

static void
check_identities(void)
{
	mml_config	config;
	mml_config	other;
	unit_data	data;
	unit_data	changed;
	unit_bytes	start;
	unit_bytes	other_start;
	uint64_t	identity[MML_IDENTITY_WORDS];

	unit_config_init(&config);
	unit_data_init(&data);
	identity_of(&config, &data, 0, identity);
	check_identity("rows in another order", true, &config, &data, identity);
	other = config;
	other.max_seconds = 100.0;
	check_identity("more time", true, &other, &data, identity);
	other = config;
	other.l2 *= 2.0;
	check_identity("other options", false, &other, &data, identity);
	other = config;
	other.min_count = 3;
	check_identity("rarer values left out", false, &other, &data, identity);
	changed = data;
	changed.n_rows--;
	check_identity("a row less", false, &config, &changed, identity);
	changed = data;
	changed.draw = 1;
	check_identity("other rows", false, &config, &changed, identity);
	changed = data;
	changed.has_weights = true;
	check_identity("weights", false, &config, &changed, identity);
	changed = data;
	changed.features &= ~(uint32_t) UNIT_PRICE;
	check_identity("a feature less", false, &config, &changed, identity);
	unit_train_and_save(&unit, "one start", &config, &data, 1, &start);
	other = config;
	other.seed++;
	unit_train_and_save(&unit, "another start", &other, &data, 1, &other_start);
	changed = data;
	changed.previous = &start;
	check_identity("a warm start", false, &config, &changed, identity);
	identity_of(&config, &changed, 0, identity);
	check_identity("the same warm start", true, &config, &changed, identity);
	changed.previous = &other_start;
	check_identity("another warm start", false, &config, &changed, identity);
	unit_bytes_free(&start);
	unit_bytes_free(&other_start);
}

/* ------------------------------------------------------------ hostile bytes */

/* A run with the checkpoint, and no more than that: to its next pause if it takes the bytes. */
static mml_status
try_checkpoint(const mml_config *config, const unit_data *data, checkpoint *from)
{
	mml_rows   *rows;
	mml_run    *run;
	mml_status	status;

	if (!begin("hostile", config, data, 0, &rows, &run))
		return MML_OK;
	status = MML_OK;
	for (int part = 0; status == MML_OK && part < MML_CHECKPOINT_PARTS; part++)
		if (mml_run_has_part(run, part))
			status = restore_part(run, from, part);
	if (status == MML_OK)
		status = mml_run_take_part(run, &unit.host, &alone);
	end(rows, run);
	return status;
}

/* Every byte of the head, one after the other, is wrong in two ways. */
static void
check_hostile(const char *what, const mml_config *config, const unit_data *data, int n_runs)
{
	static checkpoint kept;
	mml_rows   *rows;
	mml_run    *run;
	mml_status	status = MML_OK;
	int			n_refused = 0;

	if (!begin(what, config, data, 0, &rows, &run))
		return;
	for (int i = 0; status == MML_OK && i < n_runs; i++)
		status = mml_run_take_part(run, &unit.host, &alone);
	if (status == MML_OK)
		status = save(run, &kept);
	unit_check(status == MML_OK, "%s: %s", what, unit_error(&unit.host));
	end(rows, run);
	unit_check(try_checkpoint(config, data, &kept) == MML_OK, "%s: %s, %s", what, unit_error(&unit.host),
			   unit.host.error.detail);
	for (size_t i = 0; i < kept.at[0].n; i++)
	{
		unsigned char before = kept.at[0].at[i];

		kept.at[0].at[i] = i % 2 ? 0xFF : (unsigned char) (before ^ 0x80);
		n_refused += try_checkpoint(config, data, &kept) == MML_BAD_MODEL;
		kept.at[0].at[i] = before;
	}
	unit_check(n_refused > 100, "%s: %d bytes refused", what, n_refused);
	for (int part = 0; part < MML_CHECKPOINT_PARTS; part++)
	{
		if (kept.at[part].n == 0)
			continue;
		kept.at[part].n--;
		unit_check(try_checkpoint(config, data, &kept) == MML_BAD_MODEL, "%s: part %d is too short", what, part);
		kept.at[part].n++;
	}
	unit_check(unit.n_held == 0, "%s: %ld pieces of memory are kept", what, unit.n_held);
	forget(&kept);
}

/* ------------------------------------------------------------- of other rows */

/* The model in a checkpoint is a version to start from. */
static void
check_model(const mml_config *config, const unit_data *data)
{
	static checkpoint kept;
	mml_rows   *rows;
	mml_run    *run;
	mml_model  *model;
	unit_data	more = *data;
	unit_bytes	bytes;
	mml_reader	reader = {.self = &kept.at[MML_CHECKPOINT_MODEL],.read = fetch};

	if (!begin("model", config, data, 0, &rows, &run))
		return;
	unit_check(mml_run_take_part(run, &unit.host, &alone) == MML_OK && save(run, &kept) == MML_OK, "model: %s",
			   unit_error(&unit.host));
	end(rows, run);
	reader.total = kept.at[MML_CHECKPOINT_MODEL].n;
	if (unit_check(mml_model_load(&unit.host, &reader, &model) == MML_OK, "load: %s", unit_error(&unit.host)))
		mml_model_free(model);
	more.n_rows += 50;
	more.previous = &kept.at[MML_CHECKPOINT_MODEL];
	unit_train_and_save(&unit, "other rows", config, &more, 1, &bytes);
	unit_bytes_free(&bytes);
	forget(&kept);
}

int
main(void)
{
	mml_config	config;
	mml_config	usual;
	unit_data	data;
	unit_bytes	before;

	mml_init();
	unit_host_init(&unit);
	unit_config_init(&config);
	unit_data_init(&data);
	data.has_weights = true;
	config.epochs = 3;
	config.dropout = 0.3;
	config.recipe = MML_RECIPE_AUTO;
	usual = config;
	/* of some of them the first start is the best: what was kept of it comes back */
	for (config.seed = 1; config.seed <= 4; config.seed++)
		check_same("all starts", &config, &data);
	config = usual;
	config.experts_per_domain = 2;
	config.finetune = 1;
	config.gate = MML_GATE_INPUT;
	config.recipe = MML_RECIPE_GATED;
	check_same("gate over the input", &config, &data);
	config = usual;
	config.epochs = 12;
	config.patience = 1;
	config.recipe = MML_RECIPE_PAPER;
	check_same("smaller steps", &config, &data);
	config = usual;
	config.method = MML_MLORA;
	check_same("mlora", &config, &data);
	config.method = MML_BACKBONE;
	check_same("backbone", &config, &data);
	config = usual;
	unit_first_night(&config, &data);
	unit_train_and_save(&unit, "first night", &config, &data, 1, &before);
	unit_second_night(&data, &before);
	config.min_domain_rows = 20;
	check_same("warm start", &config, &data);
	unit_bytes_free(&before);
	check_identities();
	unit_data_init(&data);
	config = usual;
	config.recipe = MML_RECIPE_PAPER;
	config.epochs = 2;
	data.n_rows = 150;
	config.min_domain_rows = 20;
	check_model(&config, &data);
	check_hostile("in a start", &config, &data, 1);
	check_hostile("in phase experts", &config, &data, 3);
	config.finetune = 1;
	check_hostile("at the end", &config, &data, 7);
	return unit_done();
}
