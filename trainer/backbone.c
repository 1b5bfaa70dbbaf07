/*
 * backbone.c - the table of backbones (MODELS.md section 2): one row each.
 */
#include <string.h>

#include "mml_backbones.h"

/* What enters the tower, and what is added to its logit. */
typedef struct backbone
{
	const char *name;
	bool		has_linear;
	const mml_interaction *interaction; /* NULL: h_0 = x and nothing beside the tower */
} backbone;

/* In the order of their numbers, which stored models hold: only append. */
static const backbone backbones[] = {
	{.name = "mlp"},
	{.name = "wdl",.has_linear = true},
	{.name = "deepfm",.has_linear = true,.interaction = &mml_deepfm},
	{.name = "nfm",.has_linear = true,.interaction = &mml_nfm},
	{.name = "pnn",.interaction = &mml_product},
	{.name = "dcn",.has_linear = true,.interaction = &mml_cross},
	{.name = "autoint",.has_linear = true,.interaction = &mml_attention},
	{.name = "xdeepfm",.has_linear = true,.interaction = &mml_cin},
	{.name = "fibinet",.has_linear = true,.interaction = &mml_bilinear},
};

#define N_BACKBONES ((int) (sizeof(backbones) / sizeof(backbones[0])))

/* The same names as a list of choices. */
const char *const mml_backbone_names[] = {
	"mlp", "wdl", "deepfm", "nfm", "pnn", "dcn", "autoint", "xdeepfm", "fibinet", NULL
};

int
mml_backbones(void)
{
	return N_BACKBONES;
}

const char *
mml_backbone_name(int backbone)
{
	return backbones[backbone].name;
}

int
mml_backbone_find(const char *name)
{
	for (int i = 0; i < N_BACKBONES; i++)
		if (strcmp(backbones[i].name, name) == 0)
			return i;
	return -1;
}

const mml_interaction *
mml_interaction_of(const mml_shape *shape)
{
	return backbones[shape->backbone].interaction;
}

const char *const *
mml_backbone_options(const mml_config *config)
{
	static const char *const none[] = {NULL};
	const mml_interaction *interaction = backbones[config->backbone].interaction;

	return interaction == NULL || interaction->options == NULL ? none : interaction->options;
}

const char *
mml_backbone_check(const mml_config *config)
{
	const mml_interaction *interaction = backbones[config->backbone].interaction;

	return interaction == NULL || interaction->check == NULL ? NULL : interaction->check(config);
}

/* Inputs of the tower for F fields d wide. */
static uint64_t
h0_width(int backbone, uint64_t n_fields, uint64_t dim)
{
	const mml_interaction *interaction = backbones[backbone].interaction;

	return interaction == NULL || interaction->h0_width == NULL ? n_fields * dim : interaction->h0_width(n_fields, dim);
}

static uint64_t
side_width(const mml_shape *shape)
{
	const mml_interaction *interaction = mml_interaction_of(shape);

	return interaction == NULL || interaction->side_width == NULL ? 0 : interaction->side_width(shape);
}

/* What the widths follow from. */
static void
take_sizes(mml_shape *shape, const mml_config *config, int n_fields)
{
	shape->backbone = config->backbone;
	shape->n_fields = n_fields;
	shape->dim = config->embedding_dim;
	shape->x_width = n_fields * config->embedding_dim;
	shape->has_linear = backbones[config->backbone].has_linear;
	shape->cross_layers = config->cross_layers;
	shape->attention_layers = config->attention_layers;
	shape->attention_heads = config->attention_heads;
	shape->attention_dim = config->attention_dim;
	shape->n_cin = config->n_cin;
	memcpy(shape->cin, config->cin, sizeof(shape->cin));
}

mml_status
mml_shape_check(mml_host *host, const mml_config *config, int n_fields)
{
	mml_shape	shape = {0};
	uint64_t	inputs;

	take_sizes(&shape, config, n_fields);
	inputs = MML_MAX(h0_width(config->backbone, (uint64_t) n_fields, (uint64_t) config->embedding_dim), side_width(&shape));
	if (inputs <= MML_MAX_INPUTS)
		return MML_OK;
	(void) mml_fail(host, MML_LIMIT, "backbone \"%s\" cannot take so many features", backbones[config->backbone].name);
	mml_fail_detail(host, "With %d features and \"embedding_dim\" %d, %llu numbers would enter its layers; at most %d can.",
					n_fields - 1, config->embedding_dim, (unsigned long long) inputs, MML_MAX_INPUTS);
	mml_fail_hint(host, "Lower \"embedding_dim\", leave out features, or choose a backbone that costs less, such as \"wdl\".");
	return MML_LIMIT;
}

void
mml_shape_backbone(mml_shape *shape, const mml_config *config, int n_fields)
{
	take_sizes(shape, config, n_fields);
	shape->width[0] = (int32_t) h0_width(config->backbone, (uint64_t) n_fields, (uint64_t) config->embedding_dim);
	shape->side_width = (int32_t) side_width(shape);
}

size_t
mml_scratch_floats(const mml_shape *shape)
{
	const mml_interaction *interaction = mml_interaction_of(shape);

	return interaction == NULL || interaction->scratch == NULL ? 0 : interaction->scratch(shape);
}

void
mml_init(void)
{
	mml_linalg_init();
}
