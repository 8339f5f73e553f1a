// Where a page at this address finds its APIs.
window.MessagingAPI = '/crust';
window.SystemAPI = '/crust/system';
