#include "common/rpc/address.h"
#include "tests/unit/main.h"

#include <nng/protocol/reqrep0/rep.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/rpc/rpc.h"

START_TEST(plain_tcp_is_refused_off_loopback_unless_it_is_allowed)
{
	ck_assert_int_eq(rpc_address_check("tcp://10.0.0.1:9000", false), STATUS_FORBIDDEN);
	ck_assert_int_eq(rpc_address_check("tcp://messaging:9000", false), STATUS_FORBIDDEN);
	ck_assert_int_eq(rpc_address_check("tcp://0.0.0.0:9000", false), STATUS_FORBIDDEN);
	ck_assert_int_eq(rpc_address_check("tcp://[::]:9000", false), STATUS_FORBIDDEN);
	ck_assert_int_eq(rpc_address_check("tcp://messaging:9000", true), STATUS_OK);
	ck_assert_int_eq(rpc_address_check("tcp://127.0.0.1:9000", false), STATUS_OK);
	ck_assert_int_eq(rpc_address_check("tcp://[::1]:9000", false), STATUS_OK);
	ck_assert_int_eq(rpc_address_check("tcp://localhost:9000", false), STATUS_OK);
	ck_assert_int_eq(rpc_address_check("ipc:///run/guildhall/rpc", false), STATUS_OK);
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	ck_assert_int_eq(rpc_address_check("", true), STATUS_FIELD_INVALID);
	ck_assert_int_eq(rpc_address_check("/run/guildhall", true), STATUS_FIELD_INVALID);
	ck_assert_int_eq(rpc_address_check("ws://127.0.0.1:80", true), STATUS_FIELD_INVALID);
	ck_assert_int_eq(rpc_address_check("tcp://nowhere", true), STATUS_FIELD_INVALID);
	ck_assert_int_eq(rpc_address_check("tcp://[::1", true), STATUS_FIELD_INVALID);
	ck_assert_int_eq(rpc_address_check("tls+tcp://messaging:9000", true), STATUS_FORBIDDEN);
}
END_TEST

START_TEST(a_list_is_resolved_without_doubles)
{
	struct arena *mem = arena_create();
	size_t count = 0;
	bool names = true;

	const char **list = rpc_addresses_resolve(mem, "ipc:///a, tcp://localhost:9000 ,tcp://127.0.0.1:9000,ipc:///a", &count, &names);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(list[0], "ipc:///a");
	ck_assert_str_eq(list[1], "tcp://127.0.0.1:9000");
	ck_assert_ptr_null(list[2]);
	ck_assert(!names);
	list = rpc_addresses_resolve(mem, "tcp://name.invalid:9000", &count, &names);
	ck_assert_uint_eq(count, 0);
	ck_assert_ptr_null(list[0]);
	ck_assert(names);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_socket_lies_in_a_private_directory_and_is_private_itself)
{
	char base[] = "/tmp/guildhall-address-XXXXXX";
	char address[128], path[128];
	struct stat facts;
	nng_socket socket;
	nng_listener listener;
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(address, sizeof address, "ipc://%s/run/rpc", base);
	ck_assert_int_eq(nng_rep0_open(&socket), 0);

	ck_assert_int_eq(rpc_socket_prepare(socket), 0);
	ck_assert_int_eq(rpc_socket_listen(socket, address, &listener), STATUS_OK);

	snprintf(path, sizeof path, "%s/run", base);
	ck_assert_int_eq(stat(path, &facts), 0);
	ck_assert_int_eq(facts.st_mode & 0777, 0700);
	ck_assert_int_eq(stat(address + strlen("ipc://"), &facts), 0);
	ck_assert_int_eq(facts.st_mode & 0777, 0600);
	nng_close(socket);
	unlink(address + strlen("ipc://"));
	rmdir(path);
	rmdir(base);
}
END_TEST

START_TEST(an_address_can_be_listened_on_once)
{
	char base[] = "/tmp/guildhall-address-XXXXXX";
	char address[128];
	nng_socket first, second;
	nng_listener listener;
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(address, sizeof address, "ipc://%s/rpc", base);
	ck_assert_int_eq(nng_rep0_open(&first), 0);
	ck_assert_int_eq(nng_rep0_open(&second), 0);

	ck_assert_int_eq(rpc_socket_listen(first, address, &listener), STATUS_OK);
	ck_assert_int_eq(rpc_socket_listen(second, address, &listener), STATUS_BUSY);
	nng_close(first);
	nng_close(second);
	unlink(address + strlen("ipc://"));
	rmdir(base);
}
END_TEST

TESTS("rpc address", plain_tcp_is_refused_off_loopback_unless_it_is_allowed, what_is_no_address_is_refused,
	a_list_is_resolved_without_doubles, a_socket_lies_in_a_private_directory_and_is_private_itself,
	an_address_can_be_listened_on_once)
