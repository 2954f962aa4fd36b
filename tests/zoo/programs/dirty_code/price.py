"""The version that is committed works."""


def price(net, rate=0.19):
    return net * (1 + rate)


print(price(100))
