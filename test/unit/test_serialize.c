/*
 * test_serialize.c - a model as bytes: what comes back is the model, bit for
 * bit, and what callers' readers and writers say is passed on.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N_SCORES 40

static unit_host unit;

static mml_model *
train(const char *name, const char *value, unit_data *data)
{
	mml_config	config;
	mml_model  *model;

	unit_config_init(&config);
	unit_data_init(data);
	data->features = UNIT_ALL_KINDS | UNIT_AGE | UNIT_HASH;
	config.epochs = 1;
	config.seed = -9007199254740991;
	config.cin[0] = 64;
	unit_check(unit_set(&config, name, value), "option %s", name);
	unit_check(unit_train(&unit.host, &config, data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
	return model;
}

/* ---------------------------------------------------------------- the same */

static void
score(const mml_model *model, const unit_data *data, mml_mode mode, float *scores)
{
	mml_scorer *scorer;

	memset(scores, 0, N_SCORES * sizeof(float));
	if (mml_scorer_create(&unit.host, model, mode, N_SCORES, 1 << 20, &scorer) != MML_OK)
		return;					/* a mode that the model has not */
	for (size_t i = 0; i < N_SCORES; i++)
		unit_check(unit_push_scoring(mml_scorer_rows(scorer), data, i) == MML_OK, "row %zu: %s", i,
				   unit_error(&unit.host));
	unit_check(mml_score(scorer, scores) == MML_OK, "score: %s", unit_error(&unit.host));
	mml_scorer_free(scorer);
}

static void
check_features(const mml_model *a, const mml_model *b)
{
	unit_check(mml_model_features(a) == mml_model_features(b), "number of features");
	for (int f = 0; f < mml_model_features(a); f++)
	{
		mml_field_spec x;
		mml_field_spec y;

		mml_model_feature(a, f, &x);
		mml_model_feature(b, f, &y);
		unit_check(strcmp(x.name, y.name) == 0 && x.kind == y.kind && x.hash_buckets == y.hash_buckets &&
				   x.log1p == y.log1p && x.standardize == y.standardize && x.project == y.project &&
				   x.width == y.width &&
				   x.n_boundaries == y.n_boundaries, "feature %s", x.name);
		unit_check(x.n_boundaries == 0 ||
				   memcmp(x.boundaries, y.boundaries,
						  (size_t) x.n_boundaries * sizeof(double)) == 0, "buckets of %s", x.name);
		unit_check(mml_model_feature_size(a, f) == mml_model_feature_size(b, f), "size of %s", x.name);
	}
}

static bool
same_number(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static void
check_domains(const mml_model *a, const mml_model *b)
{
	unit_check(mml_model_domains(a) == mml_model_domains(b), "number of domains");
	for (int d = 0; d < mml_model_domains(a); d++)
	{
		const mml_domain *x = mml_model_domain(a, d);
		const mml_domain *y = mml_model_domain(b, d);

		unit_check(strcmp(x->name, y->name) == 0 && x->rows == y->rows && x->positives == y->positives &&
				   x->valid_rows == y->valid_rows && x->first_expert == y->first_expert &&
				   same_number(x->backbone_auc, y->backbone_auc) && same_number(x->own_auc, y->own_auc) &&
				   same_number(x->gate_auc, y->gate_auc), "domain %s", x->name);
	}
}

static void
check_facts(const mml_model *a, const mml_model *b)
{
	mml_model_facts x;
	mml_model_facts y;

	mml_model_get_facts(a, &x);
	mml_model_get_facts(b, &y);
	unit_check(x.served == y.served && x.n_experts == y.n_experts && x.has_own == y.has_own &&
			   x.has_gate == y.has_gate &&
			   x.rows == y.rows && x.train_rows == y.train_rows && x.valid_rows == y.valid_rows &&
			   x.parameters == y.parameters && same_number(x.valid_auc, y.valid_auc) &&
			   same_number(x.valid_wauc, y.valid_wauc) && same_number(x.valid_logloss, y.valid_logloss), "facts");
	unit_check(memcmp(mml_model_config(a), mml_model_config(b), sizeof(mml_config)) == 0, "every option comes back");
	unit_check(mml_model_phases(a) == mml_model_phases(b), "number of phases");
	for (int i = 0; i < mml_model_phases(a); i++)
	{
		const mml_phase_summary *p = mml_model_phase(a, i);
		const mml_phase_summary *q = mml_model_phase(b, i);

		unit_check(p->phase == q->phase && p->epochs == q->epochs && p->rows == q->rows && p->is_used == q->is_used &&
				   same_number(p->train_logloss, q->train_logloss) && same_number(p->valid_auc, q->valid_auc) &&
				   same_number(p->valid_logloss, q->valid_logloss) && same_number(p->valid_wauc, q->valid_wauc) &&
				   strcmp(p->note, q->note) == 0, "phase %d", i);
	}
}

/* The names under which tensors are listed are those under which they are found, and the list is all there is. */
static void
check_list(const mml_model *model)
{
	mml_tensor_facts facts;
	mml_tensor_view view;
	mml_model_facts whole;
	uint64_t	n = 0;
	bool		has_embedding = false;

	for (int i = 0; i < mml_model_tensors(model); i++)
	{
		mml_model_get_tensor(model, i, &facts);
		n += facts.rows * facts.cols;
		has_embedding = has_embedding || strcmp(facts.name, "embedding.user") == 0;
		unit_check(facts.name[strlen(facts.name) - 1] != '.', "tensor %s has a whole name", facts.name);
		unit_check(mml_model_tensor(model, facts.name, &view) && view.rows == facts.rows && view.cols == facts.cols &&
				   view.stride == facts.cols, "shape of %s", facts.name);
	}
	mml_model_get_facts(model, &whole);
	unit_check(has_embedding && n == (uint64_t) whole.parameters, "%llu numbers, %lld parameters",
			   (unsigned long long) n, (long long) whole.parameters);
}

/* Feature `price` is standardised by mean and deviation of its values. */
static void
check_scale(const mml_model *a, const mml_model *b)
{
	for (int f = 0; f < mml_model_features(a); f++)
	{
		double		mean[2];
		double		deviation[2];
		mml_field_spec spec;

		mml_model_feature(a, f, &spec);
		mml_model_feature_scale(a, f, &mean[0], &deviation[0]);
		mml_model_feature_scale(b, f, &mean[1], &deviation[1]);
		unit_check(mean[0] == mean[1] && deviation[0] == deviation[1], "scale of %s", spec.name);
		if (spec.kind == MML_NUMERIC)
			unit_check(deviation[0] == 1 / a->fields[f].inverse_std && deviation[0] > 0, "deviation of %s", spec.name);
	}
}

static void
check_tensor(const mml_model *a, const mml_model *b, const char *name, bool is_there)
{
	mml_tensor_view x;
	mml_tensor_view y;
	bool		is_same = true;

	unit_check(mml_model_tensor(a, name, &x) == is_there && mml_model_tensor(b, name, &y) == is_there, "tensor %s",
			   name);
	if (!is_there)
		return;
	unit_check(x.rows == y.rows && x.cols == y.cols && x.stride == y.stride, "shape of %s", name);
	for (size_t i = 0; i < x.rows; i++)
		is_same = is_same && memcmp(x.values + i * x.stride, y.values + i * y.stride, x.cols * sizeof(float)) == 0;
	unit_check(is_same, "values of %s", name);
}

static void
check_round_trip(const char *name, const char *value)
{
	unit_data	data;
	mml_model  *model = train(name, value, &data);
	mml_model  *loaded = NULL;
	unit_bytes	bytes;
	unit_bytes	again;
	mml_model_facts facts;

	unit_check(unit_save(&unit.host, model, &bytes) == MML_OK, "save: %s", unit_error(&unit.host));
	unit_check(mml_model_saved_bytes(model) == bytes.n, "%s=%s: says %llu bytes, writes %zu", name, value,
			   (unsigned long long) mml_model_saved_bytes(model), bytes.n);
	unit_check(unit_load(&unit.host, &bytes, &loaded) == MML_OK, "load: %s %s", unit_error(&unit.host),
			   unit.host.error.detail);
	unit_check(unit_save(&unit.host, loaded, &again) == MML_OK && unit_same_bytes(&bytes, &again),
			   "%s=%s: saved again, other bytes", name, value);
	check_features(model, loaded);
	check_domains(model, loaded);
	check_facts(model, loaded);
	check_scale(model, loaded);
	check_list(loaded);
	unit_check(mml_model_phases(loaded) > 0 && isnan(mml_model_phase(loaded, 0)->seconds), "durations are not stored");
	mml_model_get_facts(model, &facts);
	check_tensor(model, loaded, "embedding.user", true);
	check_tensor(model, loaded, "linear.domain", model->params->shape.has_linear);
	check_tensor(model, loaded, "projection.picture", true);
	check_tensor(model, loaded, "tower.1.weight", true);
	check_tensor(model, loaded, "expert.1.tower.0.down", facts.n_experts > 1);
	check_tensor(model, loaded, "expert.1.tower.1.up", facts.n_experts > 1);
	check_tensor(model, loaded, "expert.99.tower.1.up", false);
	check_tensor(model, loaded, "gate.domain", facts.has_gate && mml_model_config(model)->gate == MML_GATE_DOMAIN);
	check_tensor(model, loaded, "gate.input.bias", facts.has_gate && mml_model_config(model)->gate == MML_GATE_INPUT);
	for (mml_mode mode = MML_MODE_BACKBONE; mode <= MML_MODE_GATE; mode++)
	{
		float		scores[N_SCORES];
		float		loaded_scores[N_SCORES];

		score(model, &data, mode, scores);
		score(loaded, &data, mode, loaded_scores);
		unit_check(memcmp(scores, loaded_scores, sizeof(scores)) == 0, "%s=%s: other scores in mode %s", name, value,
				   mml_mode_name(mode));
	}
	mml_model_free(model);
	mml_model_free(loaded);
	unit_bytes_free(&bytes);
	unit_bytes_free(&again);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
}

/* -------------------------------------------------------- readers and writers */

/* Takes or gives so many calls, then says no with a status of its own. */
typedef struct limited
{
	unit_bytes	bytes;
	long		calls_left;
} limited;

static mml_status
limited_write(void *self, const void *bytes, size_t n)
{
	limited    *to = self;

	(void) bytes;
	(void) n;
	return to->calls_left-- > 0 ? MML_OK : MML_UNKNOWN_DOMAIN;
}

static mml_status
limited_read(void *self, void *bytes, size_t n)
{
	limited    *from = self;

	if (from->calls_left-- <= 0)
		return MML_UNKNOWN_DOMAIN;
	memcpy(bytes, from->bytes.at + from->bytes.next, n);
	from->bytes.next += n;
	return MML_OK;
}

static void
test_callers_failures(void)
{
	unit_data	data;
	mml_model  *model = train("recipe", "paper", &data);
	limited		caller;
	mml_writer	writer = {.self = &caller,.write = limited_write};
	mml_reader	reader = {.self = &caller,.read = limited_read};
	mml_model  *loaded;
	long		n_calls = -1;

	for (long calls = 0; n_calls < 0; calls += 7)
	{
		mml_status	status;

		caller.calls_left = calls;
		status = mml_model_save(&unit.host, model, &writer);
		unit_check(status == MML_OK || status == MML_UNKNOWN_DOMAIN, "a writer's status is passed on, not %d", status);
		if (status == MML_OK)
			n_calls = calls;
	}
	unit_check(unit_save(&unit.host, model, &caller.bytes) == MML_OK, "save");
	reader.total = caller.bytes.n;
	for (long calls = 0; calls < n_calls; calls += 7)
	{
		mml_status	status;

		caller.calls_left = calls;
		caller.bytes.next = 0;
		status = mml_model_load(&unit.host, &reader, &loaded);
		unit_check(status == MML_UNKNOWN_DOMAIN || status == MML_OK, "a reader's status is passed on, not %d", status);
		mml_model_free(loaded);
	}
	mml_model_free(model);
	unit_bytes_free(&caller.bytes);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	check_round_trip("recipe", "auto");
	check_round_trip("gate", "input");
	check_round_trip("method", "mlora");
	check_round_trip("method", "backbone");
	for (int i = 0; i < mml_backbones(); i++)
		check_round_trip("backbone", mml_backbone_name(i));
	check_round_trip("experts_per_domain", "3");
	check_round_trip("min_domain_rows", "100000");
	check_round_trip("validation", "0");
	check_round_trip("gate_own_share", "0.25");
	check_round_trip("gate_entropy", "-0.25");
	test_callers_failures();
	return unit_done();
}
