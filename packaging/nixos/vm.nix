# A test in two virtual machines, to be run where Nix can build and has KVM:
#
#     nix-build packaging/nixos/vm.nix
#
# A forged message is refused by Postfix, another one is accepted, and a reload leaves the daemon running.
{
  pkgs ? import <nixpkgs> { },
}:

let
  mx = "192.168.1.2"; # the test's own network counts the machines in the order of their names
in
pkgs.testers.runNixOSTest {
  name = "spfmilter";

  nodes.client =
    { pkgs, ... }:
    {
      environment.systemPackages = [ pkgs.swaks ];
    };

  nodes.mx = {
    imports = [ ./module.nix ];
    networking.firewall.allowedTCPPorts = [ 25 ];

    # forged.test allows no server, fine.test each of this network.
    services.nsd = {
      enable = true;
      interfaces = [ "127.0.0.1@5353" ];
      zones."test.".data = ''
        @      3600 IN SOA ns.test. root.test. 1 3600 3600 3600 3600
        @      3600 IN NS  ns
        ns     3600 IN A   127.0.0.1
        forged 3600 IN TXT "v=spf1 -all"
        fine   3600 IN TXT "v=spf1 ip4:192.168.1.0/24 -all"
      '';
    };

    services.postfix = {
      enable = true;
      settings.main = {
        mydestination = [ "mx.test" ];
        mynetworks = [ "127.0.0.0/8" ];
      };
    };

    users.users.alice.isNormalUser = true;

    services.spfmilter = {
      enable = true;
      attachPostfix = true;
      web.enable = true;
      settings = {
        dns.nameservers = [ "127.0.0.1:5353" ];
        # The client of this test has a private address, which is exempt by default.
        exempt.private_clients = false;
      };
    };
  };

  testScript = ''
    start_all()
    mx.wait_for_unit("spfmilter.service")
    mx.wait_for_unit("spfmilter-web.service")
    mx.wait_for_open_port(25)
    client.wait_for_unit("network.target")


    def send(sender: str) -> tuple[int, str]:
        return client.execute(
            f"swaks --server ${mx} --helo client.test --from {sender} --to alice@mx.test"
        )


    status, said = send("a@forged.test")
    assert status != 0 and "550-5.7.23" in said, said

    mx.succeed("systemctl reload spfmilter.service")
    status, said = send("a@fine.test")
    assert status == 0, said

    mx.succeed("spfmilter status")
    mx.succeed("systemctl is-active spfmilter.service")
  '';
}
