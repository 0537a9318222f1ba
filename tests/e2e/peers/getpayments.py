"""A merchant's program made by zeep from the description: what was paid, by SOAP 1.1, 1.2 and a form.

Address of the service, invoice of the merchant's that was paid, session in which its page asked for it.
"""
import sys

import zeep

at, factor, session = sys.argv[1:]
client = zeep.Client(at + "?WSDL")
asked = dict(Username="u", Password="p", CodeName="123", IsAll=False, YourFactorID=factor, SessionID=session, NullResult="none")
# The description names where the world finds the service; here it is somewhere else.
soap = lambda name: client.create_service("{http://tempuri.org/}" + name, at)
print(soap("ExternalUssdPaySoap").GetPayments(**asked))
print(soap("ExternalUssdPaySoap12").GetPayments(**{**asked, "YourFactorID": factor + "0"}))
print(soap("ExternalUssdPayHttpGet").GetPayments(**{**asked, "IsAll": "false"}))
