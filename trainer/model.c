/*
 * model.c - what training leaves and scoring needs, and questions about it.
 */
#include <string.h>

#include "mml_profile.h"

mml_status
mml_model_create(mml_host *host, mml_model **model)
{
	MML_TRY(MML_NEW(host, *model, 1));
	(*model)->host = host;
	mml_arena_init(&(*model)->arena, host);
	return MML_OK;
}

uint32_t
mml_model_domain_ids(const mml_model *model)
{
	return model->names->n + 1;
}

void
mml_invert_experts(const int32_t *domain_expert, uint32_t n_ids, int per_domain, uint32_t *expert_domain)
{
	for (uint32_t id = 0; id < n_ids; id++)
		if (domain_expert[id] >= 0)
			expert_domain[domain_expert[id] / per_domain] = id;
}

mml_status
mml_model_shape(mml_model *model, int n_experts, bool has_gate)
{
	mml_shape	shape;

	MML_TRY(mml_shape_check(model->host, &model->config, model->n_fields));
	MML_TRY(MML_NEW(model->host, model->layout, (size_t) model->n_fields));
	for (int f = 0; f < model->n_fields; f++)
		mml_layout_of(&model->fields[f], &model->layout[f]);
	MML_TRY(MML_NEW(model->host, model->expert_domain, (size_t) n_experts));
	mml_invert_experts(model->domain_expert, mml_model_domain_ids(model), model->config.experts_per_domain,
					   model->expert_domain);
	mml_shape_init(&shape, &model->config, model->n_fields, n_experts,
				   has_gate && model->config.gate == MML_GATE_DOMAIN, has_gate && model->config.gate == MML_GATE_INPUT);
	MML_TRY(mml_params_declare(model->host, &shape, model->layout, &model->params));
	mml_arena_expect(&model->arena, (size_t) mml_params_count(model->params, MML_GROUP_ALL) * sizeof(float) +
					 (size_t) model->params->n_tensors * 64);
	return mml_params_allocate(model->params, &model->arena, MML_STATE_VALUE);
}

void
mml_model_free(mml_model *model)
{
	mml_host   *host;

	if (model == NULL)
		return;
	host = model->host;
	for (int f = 0; model->fields != NULL && f < model->n_fields; f++)
		mml_field_free(host, &model->fields[f]);
	if (model->names != NULL)
		mml_names_free(host, model->names);
	mml_release(host, model->fields);
	mml_release(host, model->names);
	mml_release(host, model->layout);
	mml_release(host, model->domain_expert);
	mml_release(host, model->expert_domain);
	mml_params_free(host, model->params);
	mml_profile_free(host, model->profile);
	mml_arena_free(&model->arena);
	mml_release(host, model);
}

/* ------------------------------------------------------------------- facts */

const mml_config *
mml_model_config(const mml_model *model)
{
	return &model->config;
}

size_t
mml_model_bytes(const mml_model *model)
{
	size_t		bytes = mml_arena_bytes(&model->arena) + mml_profile_bytes(model->profile, model->facts.n_experts) +
		sizeof(*model);

	for (int f = 0; f < model->n_fields; f++)
		bytes += (size_t) model->fields[f].vocabulary.n * (sizeof(uint64_t) + 2 * sizeof(uint32_t)) + sizeof(mml_field);
	return bytes + (size_t) model->names->n * (sizeof(mml_domain) + 64);
}

int
mml_model_features(const mml_model *model)
{
	return model->n_fields - 1;
}

void
mml_model_feature(const mml_model *model, int feature, mml_field_spec *spec)
{
	const mml_field *field = &model->fields[feature];

	memset(spec, 0, sizeof(*spec));
	spec->name = field->name;
	spec->kind = (mml_kind) field->kind;
	spec->hash_buckets = field->hash_buckets;
	spec->log1p = field->log1p;
	spec->standardize = field->standardize;
	spec->project = field->project;
	spec->width = field->width;
	spec->boundaries = field->boundaries;
	spec->n_boundaries = (int) field->n_boundaries;
}

uint32_t
mml_model_feature_size(const mml_model *model, int feature)
{
	const mml_field *field = &model->fields[feature];

	return field->kind == MML_CATEGORICAL || field->kind == MML_MULTI ? field->table_rows : 1;
}

void
mml_model_feature_scale(const mml_model *model, int feature, double *mean, double *deviation)
{
	const mml_field *field = &model->fields[feature];

	*mean = field->mean;
	*deviation = field->inverse_std == 0 ? 0 : 1 / field->inverse_std;
}

int
mml_model_phases(const mml_model *model)
{
	return model->n_phases;
}

const mml_phase_summary *
mml_model_phase(const mml_model *model, int run)
{
	return &model->phases[run];
}

int
mml_model_domains(const mml_model *model)
{
	return (int) model->names->n;
}

const mml_domain *
mml_model_domain(const mml_model *model, int domain)
{
	return &model->names->entries[domain];
}

void
mml_model_get_facts(const mml_model *model, mml_model_facts *facts)
{
	*facts = model->facts;
}

int
mml_model_expert_domain(const mml_model *model, int expert)
{
	return (int) model->expert_domain[expert / model->config.experts_per_domain] - 1;
}

bool
mml_model_gates(const mml_model *model, int domain, float *weights, float *spreads)
{
	size_t		e = (size_t) model->facts.n_experts;
	const float *gates = model->profile->gates[domain];
	mml_tensor_view gate = {.values = NULL};

	memset(spreads, 0, e * sizeof(float));
	if (model->facts.served == MML_MODE_GATE && model->domain_expert[domain + 1] >= 0 &&
		!mml_model_tensor(model, "gate.domain", &gate))
	{
		if (gates == NULL)
			return false;
		memcpy(weights, gates, e * sizeof(float));
		memcpy(spreads, gates + e, e * sizeof(float));
		return true;
	}
	mml_gate_weights(&model->params->shape, model->facts.served, gate.values, model->domain_expert[domain + 1], weights);
	return true;
}

bool
mml_model_tensor(const mml_model *model, const char *name, mml_tensor_view *view)
{
	return mml_params_view(model->params, &model->arena, model->fields, name, false, view);
}

int
mml_model_tensors(const mml_model *model)
{
	return model->params->n_tensors;
}

void
mml_model_get_tensor(const mml_model *model, int tensor, mml_tensor_facts *facts)
{
	const mml_tensor *of = &model->params->tensors[tensor];

	mml_format(facts->name, sizeof(facts->name), "%s%s", of->name, of->field < 0 ? "" : model->fields[of->field].name);
	facts->rows = of->rows;
	facts->cols = of->cols;
}

const char *
mml_phase_name(mml_phase phase)
{
	static const char *const names[] = {
		[MML_PHASE_BACKBONE] = "backbone",[MML_PHASE_JOINT] = "joint",[MML_PHASE_GATED] = "gated",
		[MML_PHASE_EXPERTS] = "experts",[MML_PHASE_GATE] = "gate",[MML_PHASE_FINETUNE] = "finetune",
		[MML_PHASE_DOMAIN] = "domain"
	};

	return names[phase];
}

const char *
mml_mode_name(mml_mode mode)
{
	static const char *const names[] = {
		[MML_MODE_BACKBONE] = "backbone",[MML_MODE_OWN] = "own",[MML_MODE_GATE] = "gate",[MML_MODE_EXPERT] = "expert"
	};

	return names[mode];
}
