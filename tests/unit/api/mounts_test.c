/* Which dialect answers: by host, by path. */
#include "services/api/mounts.h"
#include "tests/unit/main.h"

static const char *crust_host(const struct config *config)
{
	return config->host_crust;
}

static const struct mount house = {.name = "house", .path = "/v1"};
static const struct mount crust = {.name = "crust", .path = "/crust", .host = crust_host, .host_path = ""};
static const struct mount neighbour = {.name = "system", .path = "/crust/system", .host = crust_host, .host_path = "/system"};
/* In both orders: only the depth counts. */
static const struct mount *const one_way[] = {&house, &crust, &neighbour, NULL};
static const struct mount *const other_way[] = {&house, &neighbour, &crust, NULL};

static void expect(const char *bound, const char *host, const char *path, const struct mount *mount, const char *below)
{
	const struct config config = {.host_crust = bound};
	const struct mount *const *both[] = {one_way, other_way};

	for (size_t i = 0; i < 2; i++) {
		const char *rest = "unset";
		const struct mount *found = mount_find(both[i], &config, host, path, &rest);
		ck_assert_msg(found == mount, "%s %s is %s", host == NULL ? "-" : host, path, found->name);
		ck_assert_str_eq(rest, below);
	}
}

START_TEST(without_a_host_of_its_own_the_deepest_path_decides)
{
	expect("", "crust.example", "/v1/me", &house, "/me");
	expect("", "crust.example", "/crust/channels/", &crust, "/channels/");
	expect("", NULL, "/crust", &crust, "");
	expect("", NULL, "/crust/system/users/", &neighbour, "/users/");
	expect("", NULL, "/crust/systematic", &crust, "/systematic");
	expect("", NULL, "/crusty", &house, "");
	expect("", NULL, "/channels/", &house, "");
	expect("", "", "/channels/", &house, "");
}
END_TEST

START_TEST(at_a_host_of_its_own_a_dialect_lives_at_the_root_and_nothing_else_does)
{
	static const char *const names[] = {"crust.example", "CRUST.Example", "crust.example:8443"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		expect("crust.example", names[i], "/channels/", &crust, "/channels/");
		expect("crust.example", names[i], "/version", &crust, "/version");
		expect("crust.example", names[i], "/system/auth/check", &neighbour, "/auth/check");
		expect("crust.example", names[i], "/v1/me", &crust, "/v1/me");
		expect("crust.example", names[i], "/", &crust, "/");
	}
}
END_TEST

START_TEST(other_hosts_are_served_by_path)
{
	expect("crust.example", "example", "/v1/me", &house, "/me");
	expect("crust.example", "example", "/crust/channels/", &crust, "/channels/");
	expect("crust.example", "crust.example.org", "/channels/", &house, "");
	expect("crust.example", "crust.exampl", "/channels/", &house, "");
	expect("crust.example", NULL, "/channels/", &house, "");
}
END_TEST

TESTS("mounts", without_a_host_of_its_own_the_deepest_path_decides,
	at_a_host_of_its_own_a_dialect_lives_at_the_root_and_nothing_else_does, other_hosts_are_served_by_path)
